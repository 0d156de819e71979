package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
)

const (
	// holdEvery is how often the queue hears that they are worked on.
	holdEvery = 10 * time.Second
	// soon is how close to its time an action is kept here; what is due later
	// is put back into the queue, and comes again half of that before it is due.
	soon = 4 * time.Second
	// parkedFor is the longest that it is put back for.
	parkedFor = 6 * time.Hour
)

// park puts an action back until shortly before its time. The server counts it
// as out all the same, so the window is made wider by as many, and returned.
func (o *Outbox) park(ctx context.Context, queue *bus.Queue, window int, q *bus.Queued, wait time.Duration) int {
	o.mu.Lock()
	if !o.ours(q) {
		o.mu.Unlock()
		return window
	}
	delete(o.out, q.Sequence)
	o.parked[q.Sequence] = struct{}{}
	parked := len(o.parked)
	o.mu.Unlock()
	if err := q.Later(min(wait-soon/2, parkedFor)); err != nil {
		o.o.Log.Debug("an action that is due later was not put back; it comes again by itself", "id", q.Action.ID, "error", err)
	}
	if room := window - parked; room > o.o.Held/2 {
		return window
	}
	wider := parked + 2*o.o.Held
	if err := queue.Widen(ctx, wider); err != nil {
		o.o.Log.Warn("actions that are due later keep others in the queue", "parked", parked, "error", err)
		return window
	}
	return wider
}

// later adds the action when it is due.
func (o *Outbox) later(ctx, work context.Context, q *bus.Queued, wait time.Duration, working *sync.WaitGroup) {
	select {
	case <-time.After(wait):
		o.add(ctx, work, q, working)
	case <-ctx.Done():
		o.forget(q) // it stays in the queue
	}
}

func (o *Outbox) forget(q *bus.Queued) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ours(q) {
		delete(o.out, q.Sequence)
	}
}

// hold tells the queue, now and then, what is being worked on.
func (o *Outbox) hold(ctx context.Context) {
	tick := time.NewTicker(holdEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		o.mu.Lock()
		out := make([]*bus.Queued, 0, len(o.out))
		for _, q := range o.out {
			out = append(out, q)
		}
		o.mu.Unlock()
		for _, q := range out {
			if err := q.Hold(); err != nil {
				o.o.Log.Debug("the queue could not be told", "error", err)
				break
			}
		}
	}
}
