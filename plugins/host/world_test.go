package host_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// world is Switchboard around the host, in memory. Its feeds do what the bus's
// do: they keep what is neither acknowledged nor dead, and give it again, in
// order, when they are opened anew.
type world struct {
	patience time.Duration
	// bury and accept stand in the way of dead letters and actions; nil: none.
	bury   func(e event.Event) error
	accept func(a event.Action) error

	mu      sync.Mutex
	changed chan struct{} // closed and made anew at each change
	log     []event.Event // an event's sequence is its index
	settled map[string]map[uint64]bool
	open    map[string]*memoryFeed
	specs   map[string]feed.Spec
	live    func(event.Event)
	acks    []ack
	dead    []dead
	actions []action
	store   map[string]string
	timers  map[string]host.Timer
	results map[string]result
	// conversations is what the backend has, by account and id.
	conversations map[string]host.Conversation
}

type ack struct{ feed, id string }

type dead struct {
	feed, id, reason string
	attempts         int
}

type action struct {
	sender string
	taken  time.Time
	event.Action
}

var _ host.Feeds = (*world)(nil)

func newWorld(patience time.Duration) *world {
	return &world{
		patience: patience, changed: make(chan struct{}), settled: map[string]map[uint64]bool{},
		open: map[string]*memoryFeed{}, specs: map[string]feed.Spec{},
		store: map[string]string{}, timers: map[string]host.Timer{}, results: map[string]result{},
		conversations: map[string]host.Conversation{},
	}
}

// change runs fn and wakes who waits.
func (w *world) change(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
	close(w.changed)
	w.changed = make(chan struct{})
}

// until waits for a condition on the world, which is locked meanwhile.
func (w *world) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.After(w.patience)
	for {
		w.mu.Lock()
		ok, changed := is(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("not within %s: %s", w.patience, what)
		}
	}
}

func (w *world) publish(events ...event.Event) {
	w.change(func() { w.log = append(w.log, events...) })
}

// acked waits until n events of the feed are acknowledged.
func (w *world) acked(t *testing.T, feed string, n int) {
	t.Helper()
	w.until(t, fmt.Sprintf("%d events of feed %s acknowledged", n, feed), func() bool { return len(w.settled[feed]) >= n })
}

func (w *world) ackedIDs(feed string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for _, a := range w.acks {
		if a.feed == feed {
			ids = append(ids, a.id)
		}
	}
	return ids
}

func (w *world) deadLetters() []dead {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dead)
}

func (w *world) taken() []action {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.actions)
}

func (w *world) spec(feed string) feed.Spec {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.specs[feed]
}

func (w *world) stored() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.store)
}

// Open is [host.Feeds].
func (w *world) Open(_ context.Context, spec feed.Spec) (feed.Source, error) {
	key := spec.Plugin + "/" + spec.Feed
	f := &memoryFeed{w: w, key: key, spec: spec, out: map[uint64]bool{}}
	w.change(func() {
		if w.open[key] != nil {
			panic("feed " + key + " is open already")
		}
		w.open[key], w.specs[key] = f, spec
		if w.settled[key] == nil {
			w.settled[key] = map[uint64]bool{}
		}
	})
	return f, nil
}

// Live is [host.Feeds].
func (w *world) Live(_ context.Context, spec feed.Spec, fn func(event.Event)) (func(), error) {
	w.change(func() { w.live, w.specs[spec.Plugin+"/live"] = fn, spec })
	return func() { w.change(func() { w.live = nil }) }, nil
}

// memoryFeed is one opening of a feed. Its fields are locked by its world.
type memoryFeed struct {
	w    *world
	key  string
	spec feed.Spec
	next uint64
	out  map[uint64]bool
}

func (f *memoryFeed) Next(ctx context.Context) (feed.Delivery, error) {
	for {
		f.w.mu.Lock()
		d, changed := f.take(), f.w.changed
		f.w.mu.Unlock()
		if d != nil {
			return d, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (f *memoryFeed) take() feed.Delivery {
	for ; f.next < uint64(len(f.w.log)); f.next++ {
		e := f.w.log[f.next]
		wanted := slices.Contains(f.spec.Accounts, e.Account) &&
			slices.ContainsFunc(f.spec.Events, func(p event.Pattern) bool { return p.Matches(e.Type) })
		if !wanted || f.w.settled[f.key][f.next] {
			continue
		}
		f.next++
		return f.give(f.next - 1)
	}
	return nil
}

func (f *memoryFeed) give(sequence uint64) *memoryDelivery {
	f.out[sequence] = true
	return &memoryDelivery{f, f.w.log[sequence], sequence}
}

// Request is of no account: there is room for all.
func (f *memoryFeed) Request(int) {}

func (f *memoryFeed) Close() { f.w.change(func() { delete(f.w.open, f.key) }) }

type memoryDelivery struct {
	f        *memoryFeed
	event    event.Event
	sequence uint64
}

func (d *memoryDelivery) Event() event.Event                         { return d.event }
func (d *memoryDelivery) Park()                                      {}
func (d *memoryDelivery) Fetch(context.Context) (event.Event, error) { return d.event, nil }
func (d *memoryDelivery) Sequence() uint64                           { return d.sequence }
func (d *memoryDelivery) Key() string                                { return d.event.ID }
func (d *memoryDelivery) Again() bool                                { return false }

func (d *memoryDelivery) Ack() error {
	d.f.w.change(func() {
		d.settle()
		d.f.w.acks = append(d.f.w.acks, ack{d.f.key, d.event.ID})
	})
	return nil
}

func (d *memoryDelivery) Hold() error { return nil }

func (d *memoryDelivery) Dead(ctx context.Context, reason string, attempts int) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.f.w.change(func() {
		if d.f.w.bury != nil {
			err = d.f.w.bury(d.event)
		}
		if err == nil {
			d.settle()
			d.f.w.dead = append(d.f.w.dead, dead{d.f.key, d.event.ID, reason, attempts})
		}
	})
	return err
}

func (d *memoryDelivery) settle() {
	d.f.w.settled[d.f.key][d.sequence] = true
	delete(d.f.out, d.sequence)
}

var errDown = errors.New("it is down")

// message is the n-th message of a conversation. Its id is "conversation-n".
func message(conversation string, n int) event.Event {
	return event.Event{
		ID: fmt.Sprintf("%s-%d", conversation, n), Type: event.MessageNew, Account: "7", Conversation: conversation,
		Data: fmt.Appendf(nil, `{"id":%d,"content":"hello","conversation_id":1}`, n),
	}
}
