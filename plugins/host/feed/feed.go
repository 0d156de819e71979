package feed

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// Feed takes events from their source to the plugin and settles their
// outcomes. Everything in it but the channels belongs to the goroutine in Run.
type Feed struct {
	Options

	outcomes chan *pluginv1.Outcome
	due      chan *lane    // lanes whose wait is over; nil: the feed's pause
	over     chan struct{} // closed when Run returns

	lanes  map[string]*lane
	ready  []*lane           // lanes whose head may go
	inside map[uint64]*lane  // by the id of the delivery under way
	held   map[uint64]*entry // by sequence: everything taken and not settled
	last   uint64            // the last delivery's number
	paused time.Time         // nothing goes before then; zero: not paused
}

// New returns a feed. It takes nothing before Run.
func New(o Options) *Feed {
	return &Feed{
		Options:  o,
		outcomes: make(chan *pluginv1.Outcome, o.Window), due: make(chan *lane), over: make(chan struct{}),
		lanes: map[string]*lane{}, inside: map[uint64]*lane{}, held: map[uint64]*entry{},
	}
}

// Settle tells what became of a delivery. It waits while more outcomes are in
// hand than deliveries can be under way.
func (f *Feed) Settle(ctx context.Context, out *pluginv1.Outcome) {
	select {
	case f.outcomes <- out:
	case <-ctx.Done():
	}
}

// lane is one conversation's queue. Its head is ready, inside the plugin, or
// waiting for its next attempt; the others wait for the head.
type lane struct {
	key     string
	queue   []*entry
	attempt int
	span    *tracing.Span // of the delivery under way
}

type entry struct {
	delivery Delivery
	event    event.Event
}

// holdEvery is how often the source hears that held events are worked on. It
// must be well under the source's redelivery time.
const holdEvery = 10 * time.Second

// Run feeds until ctx ends, which is at once, or drain is closed, which is when
// the plugin has nothing of this feed in hand.
func (f *Feed) Run(ctx context.Context, drain <-chan struct{}) error {
	pulling, stop := context.WithCancel(ctx)
	pulled, failed := make(chan Delivery), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed <- f.pull(pulling, pulled)
	}()
	defer func() {
		f.settleRest(ctx)
		for _, l := range f.inside {
			l.span.End("the plugin's line ended")
		}
		stop()
		<-done
		close(f.over)
		f.Stats.held.Store(0)
		f.Stats.paused.Store(0)
	}()

	hold := time.NewTicker(holdEvery)
	defer hold.Stop()
	for draining := false; ; {
		if draining && len(f.inside) == 0 {
			return nil
		}
		in := pulled
		if draining {
			in = nil
		} else {
			f.dispatch(ctx)
		}
		select {
		case d := <-in:
			f.take(d)
		case out := <-f.outcomes:
			f.settle(ctx, out)
		case l := <-f.due:
			f.wake(l)
		case <-hold.C:
			f.hold()
		case <-drain:
			draining, drain = true, nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pull brings deliveries until ctx ends.
func (f *Feed) pull(ctx context.Context, to chan<- Delivery) error {
	for {
		d, err := f.Source.Next(ctx)
		if err != nil {
			return fmt.Errorf("feed %s: %w", f.Name, err)
		}
		select {
		case to <- d:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (f *Feed) take(d Delivery) {
	if have := f.held[d.Sequence()]; have != nil {
		have.delivery = d // it came again while we had it: this one is to be acknowledged
		return
	}
	e := d.Event()
	if e.By == f.Plugin && !f.OwnEchoes && !isResult(e.Type) {
		f.Stats.echoes.Add(1)
		f.ack(d)
		return
	}
	key := e.Account + "\x00" + e.Conversation
	l := f.lanes[key]
	if l == nil {
		l = &lane{key: key}
		f.lanes[key] = l
	}
	entry := &entry{d, e}
	f.held[d.Sequence()] = entry
	l.queue = append(l.queue, entry)
	if len(l.queue) == 1 {
		f.ready = append(f.ready, l)
	}
	f.Stats.held.Store(int64(len(f.held)))
}

// isResult reports whether the event tells what became of an action: that is
// for its sender above all.
func isResult(t event.Type) bool { return event.Pattern("action.*").Matches(t) }

// dispatch sends the heads of ready lanes while the window has room.
func (f *Feed) dispatch(ctx context.Context) {
	if !f.paused.IsZero() {
		return
	}
	for len(f.ready) > 0 && len(f.inside) < f.Window {
		l := f.ready[0]
		f.ready = f.ready[1:]
		l.attempt++
		f.last++
		id := f.FirstID + f.last
		f.inside[id] = l
		f.Stats.delivered.Add(1)
		d := &pluginv1.Delivery{
			Id: id, Feed: f.Name, Attempt: uint32(l.attempt), What: &pluginv1.Delivery_Event{Event: Wire(f.trace(l))},
			Key: strings.ToValidUTF8(l.queue[0].delivery.Key(), "\uFFFD"), Again: l.queue[0].delivery.Again(),
		}
		f.Deliver(ctx, d)
	}
}

// settleRest takes the outcomes that had come when the line ended: what the
// plugin said it did, it did.
func (f *Feed) settleRest(ctx context.Context) {
	for {
		select {
		case out := <-f.outcomes:
			f.settle(ctx, out)
		default:
			return
		}
	}
}

// settle takes an outcome of the plugin.
func (f *Feed) settle(ctx context.Context, out *pluginv1.Outcome) {
	l := f.inside[out.GetDelivery()]
	if l == nil {
		f.Stray()
		return
	}
	delete(f.inside, out.GetDelivery())
	l.span.End(failure(out))
	head := l.queue[0]
	switch r := out.GetResult().(type) {
	case *pluginv1.Outcome_Ack:
		f.ack(head.delivery)
		f.Stats.acked.Add(1)
		f.next(l)
	case *pluginv1.Outcome_Retry:
		wait, given := r.Retry.GetAfter().AsDuration(), r.Retry.GetAfter() != nil
		f.retry(ctx, l, wait, given, clip(r.Retry.GetReason()))
	case *pluginv1.Outcome_Pause:
		f.pause(l, r.Pause.GetHold().AsDuration(), clip(r.Pause.GetReason()))
	case *pluginv1.Outcome_Reject:
		f.dead(ctx, l, clip(r.Reject.GetReason()))
	default:
		f.retry(ctx, l, 0, false, "the plugin gave an outcome without a result")
	}
}

// clip bounds what a plugin can put into logs, statuses and dead letters.
func clip(reason string) string {
	const most = 1024
	if len(reason) <= most {
		return reason
	}
	return strings.ToValidUTF8(reason[:most], "") + "…"
}

// retry waits for the head's next attempt, or gives it up after the last.
func (f *Feed) retry(ctx context.Context, l *lane, wait time.Duration, given bool, reason string) {
	f.Stats.failed(reason)
	if l.attempt > len(f.Retries) {
		f.dead(ctx, l, reason)
		return
	}
	if !given {
		wait = f.Retries[l.attempt-1]
	}
	f.Log.Debug("event is tried again", tracing.Log(l.queue[0].event.TraceID()), "feed", f.Name, "event", l.queue[0].event.ID,
		"attempt", l.attempt, "after", wait, "reason", reason)
	f.Stats.retried.Add(1)
	f.wait(l, wait)
}

// pause holds the whole feed. The attempt does not count: it is the receiver
// that is at fault, not the event.
func (f *Feed) pause(l *lane, hold time.Duration, reason string) {
	f.Stats.failed(reason)
	hold = max(hold, minPause)
	l.attempt--
	f.ready = append([]*lane{l}, f.ready...)
	if until := time.Now().Add(hold); until.After(f.paused) {
		f.paused = until
		f.Stats.paused.Store(until.UnixMilli())
		f.Log.Warn("feed is paused by the plugin", "feed", f.Name, "for", hold, "reason", reason)
		f.wait(nil, hold)
	}
}

// minPause keeps a plugin that pauses for no time from going round and round.
const minPause = 100 * time.Millisecond

// dead makes the head a dead letter. Where that fails it stays, and is tried
// again: nothing is acknowledged that is not kept somewhere.
func (f *Feed) dead(ctx context.Context, l *lane, reason string) {
	head := l.queue[0]
	ctx, cancel := context.WithTimeout(ctx, deadTimeout)
	defer cancel()
	if err := head.delivery.Dead(ctx, reason, l.attempt); err != nil {
		f.Log.Error("dead letter could not be stored; the event is delivered again",
			tracing.Log(head.event.TraceID()), "feed", f.Name, "event", head.event.ID, "error", err)
		f.wait(l, deadTimeout)
		return
	}
	f.Log.Warn("event is a dead letter", tracing.Log(head.event.TraceID()), "feed", f.Name, "event", head.event.ID,
		"attempts", l.attempt, "reason", reason)
	f.Stats.dead.Add(1)
	f.Stats.failed(reason)
	f.next(l)
}

const deadTimeout = 5 * time.Second

// wait makes the lane (nil: the whole feed) ready again after d.
func (f *Feed) wait(l *lane, d time.Duration) {
	time.AfterFunc(d, func() {
		select {
		case f.due <- l:
		case <-f.over:
		}
	})
}

func (f *Feed) wake(l *lane) {
	switch {
	case l != nil:
		f.ready = append(f.ready, l)
	case !time.Now().Before(f.paused):
		f.paused = time.Time{}
		f.Stats.paused.Store(0)
	}
}

// next takes the settled head off its lane.
func (f *Feed) next(l *lane) {
	delete(f.held, l.queue[0].delivery.Sequence())
	l.queue, l.attempt = l.queue[1:], 0
	if len(l.queue) == 0 {
		delete(f.lanes, l.key)
	} else {
		f.ready = append(f.ready, l)
	}
	f.Stats.held.Store(int64(len(f.held)))
}

func (f *Feed) ack(d Delivery) {
	if err := d.Ack(); err != nil {
		f.Log.Debug("acknowledgement was not sent; the event comes again", "feed", f.Name, "error", err)
	}
}

func (f *Feed) hold() {
	for _, e := range f.held {
		if err := e.delivery.Hold(); err != nil {
			f.Log.Debug("held events could not be told", "feed", f.Name, "error", err)
			return
		}
	}
}
