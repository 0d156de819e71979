package host

import (
	"container/heap"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	// maxTimers is how many timers a plugin may have.
	maxTimers = 10_000
	// timerWindow is how many of them are inside the plugin at once.
	timerWindow = 64
	// timerTimeout is how long a plugin may take for one, and timerGrace how
	// much longer it may say nothing before it hangs.
	timerTimeout, timerGrace = 25 * time.Second, 5 * time.Second
	// firstTimer sets the ids of their deliveries apart from those of feeds.
	firstTimer = uint64(1<<16-1) << feedShift
	// timerLook bounds how long the clock is not looked at: it may be set, and
	// a machine may sleep.
	timerLook = time.Minute
	// timerWrite bounds one removal, and timerAgain is after how long it is
	// tried again.
	timerWrite, timerAgain = 5 * time.Second, 5 * time.Second
)

// timers deliver a plugin's timers when they are due, and settle their
// outcomes. Everything in it but the channels belongs to the goroutine in run.
type timers struct {
	plugin  string
	kept    Timers
	retries []time.Duration
	log     *slog.Logger
	stats   *Stats
	stray   func()

	changes    chan timerChange
	outcomes   chan *pluginv1.Outcome  // from the line
	deliveries chan *pluginv1.Delivery // to the line; there is room for the whole window
	// idle is closed when the plugin is drained and has none in hand.
	idle chan struct{}

	byKey   map[string]*timer
	waiting timerQueue
	inside  map[uint64]*timer
	last    uint64
}

// timer is one of a plugin. It waits, or is inside the plugin.
type timer struct {
	Timer
	next    time.Time // when it is delivered
	attempt int
	// place is where in the queue it is; -1: it is inside the plugin.
	place int
	// deadline is when the plugin hangs that has it.
	deadline time.Time
	// renewed, removed: it was set anew, or unscheduled, while inside.
	renewed, removed bool
	// settled: it is done, but could not be removed yet.
	settled bool
}

// timerChange is a Schedule or an Unschedule on its way to the timers.
type timerChange struct {
	ctx context.Context
	// set is the new timer; nil: the one of the key is removed.
	set  *Timer
	key  string
	done chan error // takes one without waiting
}

func newTimers(l *line) *timers {
	return &timers{
		plugin: l.spec.Name, kept: l.parts.Timers, retries: l.limits.Retries, log: l.log, stats: l.stats, stray: l.stray,
		changes: make(chan timerChange), outcomes: make(chan *pluginv1.Outcome, timerWindow),
		deliveries: make(chan *pluginv1.Delivery, timerWindow), idle: make(chan struct{}),
		byKey: map[string]*timer{}, inside: map[uint64]*timer{},
	}
}

// load reads what is kept. It is called before run.
func (t *timers) load(ctx context.Context) error {
	list, err := t.kept.All(ctx, t.plugin)
	if err != nil {
		return fmt.Errorf("read the timers of plugin %s: %w", t.plugin, err)
	}
	for _, kept := range list {
		it := &timer{Timer: kept, place: -1}
		t.byKey[kept.Key] = it
		t.wait(it, kept.At)
	}
	t.stats.Timers.Store(int64(len(t.byKey)))
	return nil
}

// set keeps a timer and returns when it is on disk.
func (t *timers) set(ctx context.Context, set Timer) error {
	return t.change(timerChange{ctx: ctx, set: &set, key: set.Key})
}

// remove removes a timer, if it is there.
func (t *timers) remove(ctx context.Context, key string) error {
	return t.change(timerChange{ctx: ctx, key: key})
}

func (t *timers) change(c timerChange) error {
	c.done = make(chan error, 1)
	select {
	case t.changes <- c:
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
	select {
	case err := <-c.done:
		return err
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// run delivers until ctx ends; when drain is closed, no more. Its error is that
// the plugin hangs.
func (t *timers) run(ctx context.Context, drain <-chan struct{}) error {
	defer t.settleRest(ctx)
	look := time.NewTimer(0)
	defer look.Stop()
	idle := false
	for draining := false; ; {
		now := time.Now()
		if id, late := t.hung(now); late != nil {
			return fmt.Errorf("plugin %s hangs: it has said nothing of timer %q (delivery %d) for %s",
				t.plugin, late.Key, id, timerTimeout+timerGrace)
		}
		if !draining {
			t.dispatch(ctx, now)
		} else if len(t.inside) == 0 && !idle {
			idle = true
			close(t.idle)
		}
		look.Reset(t.quiet(now, draining))
		select {
		case c := <-t.changes:
			c.done <- t.apply(c)
		case out := <-t.outcomes:
			t.settle(ctx, out)
		case <-drain:
			draining, drain = true, nil
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// quiet is how long nothing is to be done by the clock.
func (t *timers) quiet(now time.Time, draining bool) time.Duration {
	wait := timerLook
	if !draining && len(t.waiting) > 0 && len(t.inside) < timerWindow {
		wait = min(wait, t.waiting[0].next.Sub(now))
	}
	for _, it := range t.inside {
		wait = min(wait, it.deadline.Sub(now))
	}
	return wait
}

// hung is a timer that the plugin has had for too long.
func (t *timers) hung(now time.Time) (uint64, *timer) {
	for id, it := range t.inside {
		if !now.Before(it.deadline) {
			return id, it
		}
	}
	return 0, nil
}

// dispatch delivers what is due, while the window has room.
func (t *timers) dispatch(ctx context.Context, now time.Time) {
	for len(t.waiting) > 0 && len(t.inside) < timerWindow && !t.waiting[0].next.After(now) {
		it := heap.Pop(&t.waiting).(*timer)
		if it.settled {
			t.done(ctx, it)
			continue
		}
		it.attempt++
		it.deadline = now.Add(timerTimeout + timerGrace)
		t.last++
		id := firstTimer | t.last
		t.inside[id] = it
		key := strings.ToValidUTF8(it.Key, "\uFFFD")
		d := &pluginv1.Delivery{
			Id: id, Attempt: uint32(it.attempt),
			What: &pluginv1.Delivery_Timer{Timer: &pluginv1.Timer{Key: key, At: timestamppb.New(it.At), Data: it.Data}},
			// The same timer set for another time is another.
			Key: "timer/" + key + "/" + it.At.UTC().Format(time.RFC3339Nano),
		}
		select {
		case t.deliveries <- d:
		case <-ctx.Done():
			return
		}
	}
}

// apply does what a request asks for.
func (t *timers) apply(c timerChange) error {
	defer func() { t.stats.Timers.Store(int64(len(t.byKey))) }()
	it := t.byKey[c.key]
	if c.set == nil {
		if err := t.kept.Remove(c.ctx, t.plugin, c.key); err != nil || it == nil {
			return err
		}
		if it.inside() {
			it.removed, it.renewed = true, false
		} else {
			t.forget(it)
		}
		return nil
	}
	if it == nil && len(t.byKey) >= maxTimers {
		return fmt.Errorf("%w: plugin %s has %d timers, and may have no more; unschedule some", ErrFull, t.plugin, maxTimers)
	}
	if err := t.kept.Set(c.ctx, t.plugin, *c.set); err != nil {
		return err
	}
	if it == nil {
		it = &timer{place: -1}
		t.byKey[c.key] = it
	} else if it.inside() {
		it.Timer, it.renewed, it.removed = *c.set, true, false
		return nil
	}
	t.renew(it, *c.set)
	return nil
}

// renew has a timer begin anew.
func (t *timers) renew(it *timer, set Timer) {
	it.Timer, it.attempt, it.renewed, it.settled = set, 0, false, false
	t.wait(it, set.At)
}

// settle takes an outcome of the plugin.
func (t *timers) settle(ctx context.Context, out *pluginv1.Outcome) {
	it := t.inside[out.GetDelivery()]
	if it == nil {
		t.stray()
		return
	}
	delete(t.inside, out.GetDelivery())
	// Of a timer that was changed meanwhile, it is the outcome of what it was.
	if it.removed {
		t.forget(it)
		return
	}
	if it.renewed {
		t.renew(it, it.Timer)
		return
	}
	scheduled := t.retries[min(it.attempt, len(t.retries))-1]
	switch r := out.GetResult().(type) {
	case *pluginv1.Outcome_Ack:
		t.done(ctx, it)
	case *pluginv1.Outcome_Reject:
		t.log.Warn("timer is rejected by the plugin, and gone", "timer", it.Key, "reason", feed.Clip(r.Reject.GetReason()))
		t.done(ctx, it)
	case *pluginv1.Outcome_Pause:
		it.attempt-- // it is the receiver that is at fault
		t.later(it, max(r.Pause.GetHold().AsDuration(), feed.MinPause), feed.Clip(r.Pause.GetReason()))
	case *pluginv1.Outcome_Retry:
		if r.Retry.GetAfter() != nil {
			scheduled = r.Retry.GetAfter().AsDuration()
		}
		t.later(it, scheduled, feed.Clip(r.Retry.GetReason()))
	default:
		t.later(it, scheduled, "the plugin gave an outcome without a result")
	}
}

func (t *timers) later(it *timer, after time.Duration, reason string) {
	t.log.Debug("timer comes again", "timer", it.Key, "attempt", it.attempt, "after", after, "reason", reason)
	t.wait(it, time.Now().Add(after))
}

// done removes a timer that has its outcome. Where it cannot be, that is tried
// again: it must not come after the next start.
func (t *timers) done(ctx context.Context, it *timer) {
	ctx, cancel := context.WithTimeout(ctx, timerWrite)
	defer cancel()
	if err := t.kept.Remove(ctx, t.plugin, it.Key); err != nil {
		t.log.Warn("a timer that is done could not be removed; it is tried again", "timer", it.Key, "error", err)
		it.settled = true
		t.wait(it, time.Now().Add(timerAgain))
		return
	}
	t.forget(it)
}

// wait puts a timer into the queue, or to its new place there.
func (t *timers) wait(it *timer, until time.Time) {
	it.next = until
	if it.inside() {
		heap.Push(&t.waiting, it)
	} else {
		heap.Fix(&t.waiting, it.place)
	}
}

// forget drops a timer that is kept no more.
func (t *timers) forget(it *timer) {
	if !it.inside() {
		heap.Remove(&t.waiting, it.place)
	}
	delete(t.byKey, it.Key)
	t.stats.Timers.Store(int64(len(t.byKey)))
}

// settleRest takes the outcomes that had come when the line ended: what the
// plugin said it did, it did.
func (t *timers) settleRest(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timerWrite)
	defer cancel()
	for {
		select {
		case out := <-t.outcomes:
			t.settle(ctx, out)
		default:
			return
		}
	}
}

func (it *timer) inside() bool { return it.place < 0 }

// timerQueue is a heap of timers, the one that is due first at its top.
type timerQueue []*timer

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *timerQueue) Push(x any) {
	it := x.(*timer)
	it.place = len(*q)
	*q = append(*q, it)
}

func (q *timerQueue) Pop() any {
	last := len(*q) - 1
	it := (*q)[last]
	(*q)[last] = nil
	*q = slices.Delete(*q, last, last+1)
	it.place = -1
	return it
}
