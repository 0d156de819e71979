package bus_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// cutPower returns a copy of a data directory as it is on disk at this moment,
// less the last bytes of the events' stream, which were not there yet.
func cutPower(t *testing.T, dir string, lost int64) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	blocks := filepath.Join("TEST_EVENTS", "msgs")
	found := false
	err := filepath.WalkDir(copied, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, blocks) {
			return err
		}
		if filepath.Ext(path) != ".blk" {
			return os.Remove(path) // an index is younger than what it is about
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		found = true
		return os.Truncate(path, max(0, info.Size()-lost))
	})
	if err != nil || !found {
		t.Fatalf("the events' blocks: %v, found %t", err, found)
	}
	return copied
}

func TestAfterAPowerCutNoSequenceComesBack(t *testing.T) {
	dir := t.TempDir()
	spec := bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 100}
	first := open(t, func(o *bus.Options) { o.DataDir = dir })
	feed, err := first.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		publish(t, first, message("1", n))
	}
	var last uint64
	for range 100 {
		d := next(t, feed)
		last = d.Sequence()
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	feed.Close()
	// A checkpoint is on disk that knows of events which the cut takes.
	if err := first.SaveState(t.Context(), "7", last, []byte(`{"x":1}`), map[string][]byte{"a.b": []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	keeping, stop := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() { defer close(kept); _ = first.KeepPositions(keeping) }()
	stop()
	<-kept
	copied := cutPower(t, dir, 3000)

	second := open(t, func(o *bus.Options) { o.DataDir = copied })
	survivors := 0
	err = second.ReadEvents(t.Context(), "7", 0, func(uint64, event.Event) error { survivors++; return nil })
	if err != nil || survivors == 0 || survivors >= 100 {
		t.Fatalf("%d events survived, %v", survivors, err)
	}
	if id, expired, err := second.EventAt(t.Context(), last); id != "" || expired || err != nil {
		t.Errorf("at the checkpoint is %q, expired %t, %v", id, expired, err)
	}
	var conversations []string
	record, err := second.LoadState(t.Context(), "7", func(id string, _ []byte) error {
		conversations = append(conversations, id)
		return nil
	})
	if err != nil || string(record) != `{"x":1}` || len(conversations) != 1 || conversations[0] != "a.b" {
		t.Errorf("the state is %s, %v, %v", record, conversations, err)
	}
	feed, err = second.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	publish(t, second, message("1", 100))
	for { // what survived may come again
		d := next(t, feed)
		if d.Event.ID != message("1", 100).ID {
			continue
		}
		if d.Sequence() <= last {
			t.Errorf("the new event has the sequence %d, which an old one had", d.Sequence())
		}
		break
	}
	n, err := second.Count(t.Context(), "7", "*")
	if err != nil || n != uint64(survivors)+1 {
		t.Errorf("%d events are in the stream, %v", n, err)
	}
}

// acknowledged waits until the server knows that a feed is done up to there.
func acknowledged(t *testing.T, b *bus.Bus, consumer string, sequence uint64) {
	t.Helper()
	nc, err := nats.Connect(b.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	timeout, tick := time.After(10*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		c, err := js.Consumer(t.Context(), "TEST_EVENTS", consumer)
		if err != nil {
			t.Fatal(err)
		}
		if c.CachedInfo().AckFloor.Stream == sequence {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("the feed stands at %d", c.CachedInfo().AckFloor.Stream)
		}
	}
}

func TestAConsumerThatIsGoneBeginsWhereItStood(t *testing.T) {
	dir := t.TempDir()
	spec := bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 100}
	first := open(t, func(o *bus.Options) { o.DataDir, o.Listen = dir, "127.0.0.1:0" })
	feed, err := first.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		publish(t, first, message("1", n))
	}
	for range 3 {
		if err := next(t, feed).Ack(); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged(t, first, "p_f", 3)
	feed.Close()
	keeping, stop := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() { defer close(kept); _ = first.KeepPositions(keeping) }()
	stop()
	<-kept
	closeBus(t, first)
	gone, err := filepath.Glob(filepath.Join(dir, "nats", "jetstream", "*", "streams", "TEST_EVENTS", "obs", "p_f"))
	if err != nil || len(gone) != 1 {
		t.Fatalf("the consumer's directory: %v, %v", gone, err)
	}
	if err := os.RemoveAll(gone[0]); err != nil {
		t.Fatal(err)
	}

	second := open(t, func(o *bus.Options) { o.DataDir = dir })
	feed, err = second.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	for n := 3; n < 5; n++ {
		if got := next(t, feed).Event.ID; got != message("1", n).ID {
			t.Fatalf("delivery %d is %s", n, got)
		}
	}
}
