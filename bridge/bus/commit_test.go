package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func action(conversation string, n int) event.Action {
	return event.Action{
		ID: fmt.Sprintf("%s-%d", conversation, n), Type: event.SendMessage, Account: "7", Conversation: conversation,
		Body: fmt.Appendf(nil, `{"content":"%d"}`, n),
	}
}

// queued is what Enqueue said.
type queued struct {
	sequence  uint64
	duplicate bool
	err       error
}

// answers are those to actions, by place.
type answers struct {
	all  []queued
	open sync.WaitGroup
}

// enqueue queues all without waiting, so that most go into batches.
func enqueue(b *bus.Bus, actions []event.Action) *answers {
	a := &answers{all: make([]queued, len(actions))}
	a.open.Add(len(actions))
	for i, act := range actions {
		b.Enqueue("bot", act, "hash", func(sequence uint64, duplicate bool, err error) {
			a.all[i] = queued{sequence, duplicate, err}
			a.open.Done()
		})
	}
	return a
}

func (a *answers) wait() []queued {
	a.open.Wait()
	return a.all
}

// inQueue is the sequence of each action in the queue.
func inQueue(t *testing.T, b *bus.Bus) map[string]uint64 {
	t.Helper()
	found := map[string]uint64{}
	for k, err := range b.Keys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if k.Entry != nil {
			continue
		}
		if found[k.ID] != 0 {
			t.Errorf("%s is in the queue twice", k.ID)
		}
		if k.Account != "7" || k.Sender != "bot" || k.Hash != "hash" || k.Size == 0 || time.Since(k.When) > time.Minute {
			t.Errorf("the queue has %+v", k)
		}
		found[k.ID] = k.Sequence
	}
	return found
}

func TestABadActionInABatchHarmsNoOther(t *testing.T) {
	b := open(t, func(o *bus.Options) { o.Listen = "127.0.0.1:0" })
	var actions []event.Action
	for n := range 300 {
		actions = append(actions, action(fmt.Sprint(n%10), n))
	}
	actions[100] = actions[50]                      // the server refuses a batch with a duplicate
	actions[200].Body = make([]byte, 9<<20)         // the client refuses this
	actions[250].ID, actions[250].Type = "x", "a b" // and the server has no such subject
	got := enqueue(b, actions).wait()
	last := map[string]uint64{}
	there := inQueue(t, b)
	for i, a := range actions {
		switch i {
		case 100:
			if got[i] != (queued{got[50].sequence, true, nil}) {
				t.Errorf("the duplicate was answered with %+v", got[i])
			}
		case 200, 250:
			if got[i].err == nil || errors.Is(got[i].err, bus.ErrUnclear) || there[a.ID] != 0 {
				t.Errorf("the bad action %d was answered with %+v", i, got[i])
			}
		default:
			if got[i].err != nil || got[i].duplicate || got[i].sequence <= last[a.Conversation] || there[a.ID] != got[i].sequence {
				t.Errorf("action %d was answered with %+v after %d, and is at %d", i, got[i], last[a.Conversation], there[a.ID])
			}
			last[a.Conversation] = got[i].sequence
		}
	}
	if len(there) != 297 {
		t.Errorf("%d actions are in the queue", len(there))
	}
	if n := batched(t, b); n < 150 {
		t.Errorf("%d actions came in batches", n)
	}
}

// batched counts the actions in the queue that were part of a batch.
func batched(t *testing.T, b *bus.Bus) (n int) {
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
	stream, err := js.Stream(t.Context(), "TEST_ACTIONS")
	if err != nil {
		t.Fatal(err)
	}
	for s := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(t.Context(), s+1)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Nats-Batch-Id") != "" {
			n++
		}
	}
	return n
}

func TestWhatIsAcceptedDuringCutsIsInTheQueueOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	const workers, each = 32, 25
	accepted := make([][]string, workers)
	var acting sync.WaitGroup
	for w := range workers {
		acting.Go(func() {
			for n := range each {
				a := action(fmt.Sprint(w), n)
				if got := enqueue(b, []event.Action{a}).wait()[0]; got.err == nil {
					if got.duplicate {
						t.Errorf("%s is a duplicate", a.ID)
					}
					accepted[w] = append(accepted[w], a.ID)
				}
			}
		})
	}
	for n := range 3 {
		for len(inQueue(t, b)) < (n+1)*workers*each/5 {
			continue // reading is slow enough
		}
		if err := b.Cut(); err != nil {
			t.Fatal(err)
		}
	}
	acting.Wait()
	there, total := inQueue(t, b), 0
	for _, ids := range accepted {
		var last uint64
		for _, id := range ids {
			if there[id] <= last {
				t.Errorf("%s is at %d, after %d", id, there[id], last)
			}
			last = there[id]
		}
		total += len(ids)
	}
	if total < workers*each/2 || b.Reconnects() != 3 {
		t.Errorf("%d were accepted, over %d cuts", total, b.Reconnects())
	}
}

// external starts a server as an operator would.
func external(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

func TestAnExistingStreamTakesBatchesWhereItCan(t *testing.T) {
	tests := []struct {
		name    string
		persist jetstream.PersistModeType
		batches bool
	}{
		{"one from before there were batches", jetstream.DefaultPersistMode, true},
		{"one that cannot: it is written one by one", jetstream.AsyncPersistMode, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := external(t)
			nc, err := nats.Connect(s.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
				Name: "TEST_ACTIONS", Subjects: []string{"test.queue.>"}, Retention: jetstream.WorkQueuePolicy,
				Discard: jetstream.DiscardNew, PersistMode: tt.persist,
			}); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			b := open(t, func(o *bus.Options) {
				o.URL, o.Log = s.ClientURL(), slog.New(slog.NewTextHandler(&log, nil))
			})
			var actions []event.Action
			for n := range 100 {
				actions = append(actions, action(fmt.Sprint(n%5), n))
			}
			last := map[string]uint64{}
			for i, got := range enqueue(b, actions).wait() {
				c := actions[i].Conversation
				if got.err != nil || got.sequence <= last[c] {
					t.Fatalf("action %d: %+v after %d", i, got, last[c])
				}
				last[c] = got.sequence
			}
			if there := inQueue(t, b); len(there) != len(actions) {
				t.Errorf("%d are in the queue", len(there))
			}
			if n := batched(t, b); n > 0 != tt.batches {
				t.Errorf("%d came in batches", n)
			}
			if said := strings.Count(log.String(), "cannot take atomic batches"); said > 0 == tt.batches || said > 1 {
				t.Errorf("it was said %d times", said)
			}
		})
	}
}

func TestNothingIsAcceptedWithoutNATS(t *testing.T) {
	t.Parallel()
	s := external(t)
	b := open(t, func(o *bus.Options) { o.URL = s.ClientURL() })
	var actions []event.Action
	for n := range 40 {
		actions = append(actions, action("1", n))
	}
	enqueue(b, actions[20:]).wait() // from now on a batch is waited for
	s.Shutdown()
	s.WaitForShutdown()
	began := time.Now()
	for i, got := range enqueue(b, actions[:20]).wait() {
		if got.err == nil {
			t.Errorf("action %d was accepted", i)
		}
	}
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAClosedBusHasWrittenWhatItTook(t *testing.T) {
	dir := t.TempDir()
	b := open(t, func(o *bus.Options) { o.DataDir = dir })
	var actions []event.Action
	for n := range 100 {
		actions = append(actions, action("1", n))
	}
	took := enqueue(b, actions)
	closeBus(t, b)
	for i, got := range took.wait() {
		if got.err != nil {
			t.Errorf("action %d: %v", i, got.err)
		}
	}
	if late := enqueue(b, actions[:1]).wait()[0]; !errors.Is(late.err, bus.ErrClosed) {
		t.Errorf("after it was closed: %+v", late)
	}
	if there := inQueue(t, open(t, func(o *bus.Options) { o.DataDir = dir })); len(there) != len(actions) {
		t.Errorf("%d are in the queue", len(there))
	}
}

func TestTheLedgerHasTheLatestEntryOfEachAction(t *testing.T) {
	b := open(t)
	const ids, each = 20, 10
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for n := range each {
		for id := range ids {
			// Nobody waits for these: many of one action go into one batch.
			_ = b.WriteLedger(gone, "7.x", "bot", fmt.Sprintf("a.b %d", id), fmt.Appendf(nil, `{"n":%d}`, n))
		}
	}
	if err := b.WriteLedger(t.Context(), "7.x", "bot", "last", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"n":%d}`, each-1)
	for id := range ids {
		if got, err := b.ReadLedger(t.Context(), "7.x", "bot", fmt.Sprintf("a.b %d", id)); err != nil || string(got) != want {
			t.Errorf("action %d: %s, %v", id, got, err)
		}
	}
	var keys []string
	for k, err := range b.Keys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if k.Account != "7.x" || k.Sender != "bot" || k.ID != "last" && string(k.Entry) != want {
			t.Errorf("the ledger has %+v", k)
		}
		keys = append(keys, k.ID)
	}
	if len(keys) != ids+1 || !slices.Contains(keys, "a.b 7") {
		t.Errorf("the ledger has %q", keys)
	}
}
