package feed

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// settleMore settles what is there beside the first; it waits for nothing.
func (f *Feed) settleMore(ctx context.Context) {
	for range cap(f.outcomes) {
		select {
		case out := <-f.outcomes:
			f.settle(ctx, out)
		default:
			return
		}
	}
}

// settleRest takes the outcomes that had come when the line ended: what the
// plugin said it did, it did.
func (f *Feed) settleRest(ctx context.Context) {
	for len(f.outcomes) > 0 {
		f.settleMore(ctx)
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
	switch r := out.GetResult().(type) {
	case *pluginv1.Outcome_Ack:
		f.ack(l.queue[0].delivery)
		f.Stats.acked.Add(1)
		f.next(l)
	case *pluginv1.Outcome_Retry:
		wait, given := r.Retry.GetAfter().AsDuration(), r.Retry.GetAfter() != nil
		f.retry(ctx, l, wait, given, Clip(r.Retry.GetReason()))
	case *pluginv1.Outcome_Pause:
		f.pause(l, r.Pause.GetHold().AsDuration(), Clip(r.Pause.GetReason()))
	case *pluginv1.Outcome_Reject:
		f.dead(ctx, l, Clip(r.Reject.GetReason()))
	default:
		f.retry(ctx, l, 0, false, "the plugin gave an outcome without a result")
	}
}

// Clip bounds what a plugin can put into logs, statuses and dead letters.
func Clip(reason string) string {
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
		wait = jitter(f.Retries[l.attempt-1])
	}
	head := l.queue[0].event
	f.Log.Debug("event is tried again", tracing.Log(head.TraceID()), "feed", f.Name, "event", head.ID,
		"attempt", l.attempt, "after", wait, "reason", reason)
	f.Stats.retried.Add(1)
	f.wait(l, wait)
}

// jitter is d, give or take a fifth: those that failed together must not come
// back together.
func jitter(d time.Duration) time.Duration {
	return max(0, d+time.Duration((rand.Float64()-0.5)*0.4*float64(d)))
}

// wait makes the lane ready again after d. What waits is parked.
func (f *Feed) wait(l *lane, d time.Duration) {
	l.waiting = true
	for _, e := range l.queue {
		f.park(e)
	}
	f.after(d, func() {
		l.waiting = false
		f.ready = append(f.ready, l)
	})
}

// pause holds the whole feed. The attempt does not count: it is the receiver
// that is at fault, not the event.
func (f *Feed) pause(l *lane, hold time.Duration, reason string) {
	f.Stats.failed(reason)
	hold = max(hold, MinPause)
	l.attempt--
	f.first = append(f.first, l)
	if until := time.Now().Add(hold); until.After(f.paused) {
		f.paused = until
		f.Stats.paused.Store(until.UnixMilli())
		f.Log.Warn("feed is paused by the plugin", "feed", f.Name, "for", hold, "reason", reason)
		f.after(hold, f.resume)
	}
}

// MinPause keeps a plugin that pauses for no time from going round and round.
const MinPause = 100 * time.Millisecond

// resume ends a pause, unless there was a longer one since.
func (f *Feed) resume() {
	if !time.Now().Before(f.paused) {
		f.paused = time.Time{}
		f.Stats.paused.Store(0)
	}
}

// dead makes the head a dead letter. Where that fails it stays, and is tried
// again: nothing is acknowledged that is not kept somewhere.
func (f *Feed) dead(ctx context.Context, l *lane, reason string) {
	head := l.queue[0]
	var trace string
	if head.event != nil {
		trace = head.event.TraceID()
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	switch err := head.delivery.Dead(ctx, reason, l.attempt); {
	case errors.Is(err, ErrGone):
		f.gone(l)
		return
	case err != nil:
		f.Log.Error("dead letter could not be stored; the event is delivered again",
			tracing.Log(trace), "feed", f.Name, "event", head.delivery.Key(), "error", err)
		f.wait(l, storeTimeout)
		return
	}
	f.Log.Warn("event is a dead letter", tracing.Log(trace), "feed", f.Name, "event", head.delivery.Key(),
		"attempts", l.attempt, "reason", reason)
	f.Stats.dead.Add(1)
	f.Stats.failed(reason)
	f.next(l)
}
