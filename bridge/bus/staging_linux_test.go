package bus_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// staged are the links of a store to what is in memory.
func staged(t *testing.T, dir string) (links, targets []string) {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(dir, "nats", "jetstream", "*", "streams", "*", "batches"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			targets = append(targets, target)
		}
	}
	return links, targets
}

func TestBatchesArePutTogetherInMemory(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err != nil || !info.IsDir() {
		t.Log("there is no /dev/shm: batches are put together on disk")
		return
	}
	dir := t.TempDir()
	in := func(o *bus.Options) { o.DataDir = dir }
	accept := func(b *bus.Bus, conversation string) {
		t.Helper()
		var actions []event.Action
		for n := range 100 {
			actions = append(actions, action(conversation, n))
		}
		for _, q := range enqueue(b, actions).wait() {
			if q.err != nil || q.duplicate {
				t.Fatalf("%+v", q)
			}
		}
	}
	b := open(t, in)
	accept(b, "1")
	links, targets := staged(t, dir)
	if len(targets) != len(links) || len(targets) < 2 {
		t.Fatalf("%d of the streams' directories of batches are in memory: %v", len(targets), links)
	}
	closeBus(t, b)
	if _, err := os.Stat(filepath.Dir(targets[0])); !os.IsNotExist(err) {
		t.Errorf("a closed bus left batches in memory: %v", err)
	}

	// The machine lost its memory: the links lead nowhere.
	b = open(t, in)
	accept(b, "2")
	if got, want := len(inQueue(t, b)), 200; got != want {
		t.Errorf("%d actions are in the queue, %d were accepted", got, want)
	}
	again, _ := staged(t, dir)
	if !slices.Equal(again, links) {
		t.Errorf("the directories of batches are %v, and were %v", again, links)
	}

	// There is no room for a batch: each is written by itself.
	for _, link := range links {
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(link, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	accept(b, "3")
	if got, want := len(inQueue(t, b)), 300; got != want {
		t.Errorf("%d actions are in the queue, %d were accepted", got, want)
	}
	closeBus(t, b)
}
