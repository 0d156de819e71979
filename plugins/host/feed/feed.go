package feed

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// Feed takes events from their source to the plugin and settles their
// outcomes. Everything in it but the channels belongs to the goroutine in Run.
type Feed struct {
	Options

	outcomes chan *pluginv1.Outcome
	pulled   chan Delivery
	fetched  chan fetched
	due      chan func()   // what a timer has to do, here
	over     chan struct{} // closed when Run returns

	lanes     map[laneKey]*lane
	ready     []*lane           // lanes whose head may go
	first     []*lane           // those of them that go before the others
	inside    map[uint64]*lane  // by the id of the delivery under way
	fetching  int               // heads on their way from the store into the window
	held      map[uint64]*entry // by sequence: everything taken and not settled
	told      list              // those in held, by when the source was told that they are
	loaded    int               // how many in held have their event
	requested int               // how many may still come
	last      uint64            // the last delivery's number
	paused    time.Time         // nothing goes before then; zero: not paused
	limiter   *rate.Limiter
	throttled bool // until the limiter lets the next one go
}

// lane is one conversation's queue. Its head is ready, being fetched, inside
// the plugin, or waiting for its next attempt; the others wait for the head.
type lane struct {
	key     laneKey
	queue   []*entry
	attempt int
	waiting bool // the head waits for its next attempt
	sent    time.Time
	span    *tracing.Span // of the delivery under way
}

// laneKey names a lane: by its conversation, or where the order does not matter
// by the one event in it.
type laneKey struct {
	account, conversation string
	sequence              uint64
}

// entry is one event that was taken.
type entry struct {
	delivery Delivery
	event    *event.Event // nil: parked
	wrong    string       // why it is to be a dead letter; empty: it is not

	told             time.Time
	earlier, further *entry // in Feed.told
}

const (
	// laneLoaded is how many events of one conversation are kept in memory.
	laneLoaded = 256
	// grace is what a plugin has beyond its timeout, for the way there and back.
	grace = 5 * time.Second
	// tick is how often it is looked for what has taken too long.
	tick = 200 * time.Millisecond
)

// New returns a feed. It takes nothing before Run.
func New(o Options) *Feed {
	f := &Feed{
		Options:  o,
		outcomes: make(chan *pluginv1.Outcome, o.Window), pulled: make(chan Delivery, laneLoaded),
		fetched: make(chan fetched), due: make(chan func()), over: make(chan struct{}),
		lanes: map[laneKey]*lane{}, inside: map[uint64]*lane{}, held: map[uint64]*entry{},
		requested: o.Held,
	}
	if o.Rate > 0 {
		// What comes in a burst is a twentieth of a second's.
		f.limiter = rate.NewLimiter(rate.Limit(o.Rate), max(1, int(o.Rate/20)))
	}
	return f
}

// Settle tells what became of a delivery. It waits while more outcomes are in
// hand than deliveries can be under way.
func (f *Feed) Settle(ctx context.Context, out *pluginv1.Outcome) {
	select {
	case f.outcomes <- out:
	case <-ctx.Done():
	}
}

// Run feeds until ctx ends, which is at once, or drain is closed, which is when
// the plugin has nothing of this feed in hand.
func (f *Feed) Run(ctx context.Context, drain <-chan struct{}) error {
	working, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed <- f.pull(working)
	}()
	defer func() {
		f.settleRest(ctx)
		for _, l := range f.inside {
			l.span.End("the plugin's line ended")
		}
		stop()
		close(f.over)
		<-done
		for f.fetching > 0 {
			<-f.fetched
			f.fetching--
		}
		f.Stats.held.Store(0)
		f.Stats.paused.Store(0)
	}()

	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for draining := false; ; {
		if draining && len(f.inside) == 0 {
			return nil
		}
		in := f.pulled
		if draining {
			in = nil
		} else {
			f.dispatch(working)
			f.request()
		}
		select {
		case d := <-in:
			f.take(d)
			f.takeMore()
		case out := <-f.outcomes:
			f.settle(ctx, out)
			f.settleMore(ctx)
		case got := <-f.fetched:
			f.arrived(got)
		case do := <-f.due:
			do()
		case now := <-ticks.C:
			f.hold(now)
			if err := f.hung(now); err != nil {
				return err
			}
		case <-drain:
			draining, drain = true, nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// after has the feed's goroutine run fn after d.
func (f *Feed) after(d time.Duration, fn func()) {
	time.AfterFunc(d, func() {
		select {
		case f.due <- fn:
		case <-f.over:
		}
	})
}

// hung says whether a delivery has been inside the plugin for too long.
func (f *Feed) hung(now time.Time) error {
	for _, l := range f.inside {
		if now.Sub(l.sent) > f.Timeout+grace {
			return fmt.Errorf("plugin hangs: no outcome of event %s of feed %s within %s",
				l.queue[0].event.ID, f.Name, f.Timeout+grace)
		}
	}
	return nil
}

func (f *Feed) ack(d Delivery) {
	if err := d.Ack(); err != nil {
		f.Log.Debug("acknowledgement was not sent; the event comes again", "feed", f.Name, "error", err)
	}
}
