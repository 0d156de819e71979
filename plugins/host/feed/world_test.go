package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// aDay is patience enough in a bubble, where waiting costs nothing.
const aDay = 24 * time.Hour

// world is a stream of events in memory with one feed of it, and remembers what
// became of each.
type world struct {
	// bury stands in the way of dead letters; nil: nothing does.
	bury func(e event.Event) error

	mu      sync.Mutex
	changed chan struct{} // closed and made anew at each change
	log     []event.Event // an event's sequence is its index
	allowed int           // how many more may come
	parked  int           // how many may be out at once
	fetches int
	// fetch stands in the way of fetching; nil: nothing does.
	fetch func(e event.Event) error
	// blockFetch is told of a fetch that then waits until it must end; nil:
	// none does.
	blockFetch chan struct{}
	// made makes the events as they are taken; nil: as they are.
	made    func(e event.Event) event.Event
	next    uint64
	again   []uint64
	given   map[uint64]int
	out     map[uint64]bool
	settled map[uint64]bool
	holds   map[uint64]int
	acks    []acked
	dead    []dead
}

type acked struct {
	id string
	// delivery counts how often the source gave the event until this one.
	delivery int
}

type dead struct {
	id, reason string
	attempts   int
}

func newWorld() *world {
	return &world{
		changed: make(chan struct{}), parked: 65536, given: map[uint64]int{}, out: map[uint64]bool{},
		settled: map[uint64]bool{}, holds: map[uint64]int{},
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
	late := time.After(aDay)
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
			t.Fatalf("not within %s: %s", aDay, what)
		}
	}
}

func (w *world) publish(events ...event.Event) {
	w.change(func() { w.log = append(w.log, events...) })
}

// redeliver has the source give an event again that is under way.
func (w *world) redeliver(sequence uint64) {
	w.change(func() { w.again = append(w.again, sequence) })
}

// done waits until n events have come to their end.
func (w *world) done(t *testing.T, n int) {
	t.Helper()
	w.until(t, fmt.Sprintf("%d events done", n), func() bool { return len(w.settled) >= n })
}

func (w *world) ackedIDs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for _, a := range w.acks {
		ids = append(ids, a.id)
	}
	return ids
}

func (w *world) deadLetters() []dead {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dead)
}

// source is the world as the feed sees it.
type source struct{ w *world }

func (s source) Next(ctx context.Context) (feed.Delivery, error) {
	for {
		s.w.mu.Lock()
		d, changed := s.take(), s.w.changed
		s.w.mu.Unlock()
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

func (s source) take() feed.Delivery {
	w := s.w
	if len(w.again) > 0 {
		sequence := w.again[0]
		w.again = w.again[1:]
		return w.give(sequence)
	}
	if w.next == uint64(len(w.log)) || len(w.out) >= w.parked || w.allowed == 0 {
		return nil
	}
	w.allowed--
	w.next++
	return w.give(w.next - 1)
}

func (w *world) give(sequence uint64) *delivery {
	w.given[sequence]++
	w.out[sequence] = true
	e := w.log[sequence]
	if w.made != nil {
		e = w.made(e)
	}
	return &delivery{w: w, event: e, sequence: sequence, n: w.given[sequence]}
}

func (s source) Request(n int) { s.w.change(func() { s.w.allowed += n }) }

func (s source) Close() {}

type delivery struct {
	w        *world
	event    event.Event
	sequence uint64
	n        int
	parked   bool
}

func (d *delivery) Sequence() uint64 { return d.sequence }
func (d *delivery) Key() string      { return d.event.ID }
func (d *delivery) Again() bool      { return false }

func (d *delivery) Event() event.Event {
	if d.parked {
		return event.Event{}
	}
	return d.event
}

func (d *delivery) Park() { d.parked, d.event = true, event.Event{ID: d.event.ID} }

func (d *delivery) Fetch(ctx context.Context) (e event.Event, err error) {
	if d.w.blockFetch != nil {
		d.w.blockFetch <- struct{}{}
		<-ctx.Done()
		return e, context.Cause(ctx)
	}
	d.w.change(func() {
		d.w.fetches++
		if e = d.w.log[d.sequence]; d.w.fetch != nil {
			err = d.w.fetch(e)
		}
	})
	return e, err
}

func (d *delivery) Ack() error {
	d.w.change(func() {
		d.settle()
		d.w.acks = append(d.w.acks, acked{d.event.ID, d.n})
	})
	return nil
}

func (d *delivery) Hold() error {
	d.w.change(func() { d.w.holds[d.sequence]++ })
	return nil
}

func (d *delivery) Dead(ctx context.Context, reason string, attempts int) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.w.change(func() {
		if d.w.bury != nil {
			err = d.w.bury(d.event)
		}
		if err == nil {
			d.settle()
			d.w.dead = append(d.w.dead, dead{d.event.ID, reason, attempts})
		}
	})
	return err
}

func (d *delivery) settle() {
	d.w.settled[d.sequence] = true
	delete(d.w.out, d.sequence)
}

// result is what a plugin says of a delivery.
type result func(*pluginv1.Outcome)

func ack(out *pluginv1.Outcome) { out.Result = &pluginv1.Outcome_Ack{Ack: &pluginv1.Ack{}} }

func retry(reason string) result {
	return func(out *pluginv1.Outcome) {
		out.Result = &pluginv1.Outcome_Retry{Retry: &pluginv1.Retry{Reason: reason}}
	}
}

func retryAfter(d time.Duration, reason string) result {
	return func(out *pluginv1.Outcome) {
		out.Result = &pluginv1.Outcome_Retry{Retry: &pluginv1.Retry{After: durationpb.New(d), Reason: reason}}
	}
}

func pause(d time.Duration, reason string) result {
	return func(out *pluginv1.Outcome) {
		out.Result = &pluginv1.Outcome_Pause{Pause: &pluginv1.Pause{Hold: durationpb.New(d), Reason: reason}}
	}
}

func reject(reason string) result {
	return func(out *pluginv1.Outcome) {
		out.Result = &pluginv1.Outcome_Reject{Reject: &pluginv1.Reject{Reason: reason}}
	}
}

// running is a feed that runs.
type running struct {
	stats feed.Stats
	// stop ends it at once. Its error is the feed's.
	stop func() error
}

func (r *running) status() feed.Status { return r.stats.Snapshot("f") }

// run feeds the world's events to the plugin until the test ends. Each delivery
// has a goroutine of its own, as in a plugin.
func run(t *testing.T, w *world, plugin func(*pluginv1.Delivery) result, o feed.Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &running{}
	o.Plugin, o.Name, o.Source, o.Stats = "tester", "f", source{w}, &r.stats
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	o.Window, o.Held, o.Parked = orElse(o.Window, 256), orElse(o.Held, 4096), orElse(o.Parked, 65536)
	o.Timeout = orElse(o.Timeout, aDay)
	w.change(func() { w.allowed, w.parked = o.Held, o.Parked })
	o.Stray = func() { t.Error("an outcome of a delivery that is not under way") }
	var f *feed.Feed
	var working sync.WaitGroup
	o.Deliver = func(_ context.Context, d *pluginv1.Delivery) {
		working.Go(func() {
			out := &pluginv1.Outcome{Delivery: d.GetId()}
			plugin(d)(out)
			f.Settle(ctx, out)
		})
	}
	f = feed.New(o)
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, nil) }()
	r.stop = sync.OnceValue(func() error {
		cancel(errStopped)
		defer working.Wait()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); !errors.Is(err, errStopped) {
			t.Errorf("the feed broke: %v", err)
		}
	})
	return r
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

var (
	errDown    = errors.New("it is down")
	errStopped = errors.New("stopped by the test")
)

// visits are the calls of a plugin, in order.
type visits struct {
	mu   sync.Mutex
	list []visit
}

type visit struct {
	id      string
	attempt int
	at      time.Time
}

// add returns how often the event was here before.
func (v *visits) add(d *pluginv1.Delivery) (before int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := d.GetEvent().GetId()
	for _, x := range v.list {
		if x.id == id {
			before++
		}
	}
	v.list = append(v.list, visit{id, int(d.GetAttempt()), time.Now()})
	return before
}

func (v *visits) all() []visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.list)
}

func (v *visits) ids() (ids []string) {
	for _, x := range v.all() {
		ids = append(ids, x.id)
	}
	return ids
}

// of are the visits of one event.
func (v *visits) of(id string) []visit {
	return slices.DeleteFunc(v.all(), func(x visit) bool { return x.id != id })
}

// waits are the times between the visits of one event.
func (v *visits) waits(id string) (waits []time.Duration) {
	list := v.of(id)
	for i := 1; i < len(list); i++ {
		waits = append(waits, list[i].at.Sub(list[i-1].at))
	}
	return waits
}

// message is the n-th message of a conversation. Its id is "conversation-n".
func message(conversation string, n int) event.Event {
	return event.Event{
		ID: fmt.Sprintf("%s-%d", conversation, n), Type: event.MessageNew, Account: "7", Conversation: conversation,
		Data: fmt.Appendf(nil, `{"id":%d,"content":"hello","conversation_id":1}`, n),
	}
}
