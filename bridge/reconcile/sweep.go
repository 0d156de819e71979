package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
)

var errNoFloor = errors.New("the first comparison is not done yet")

// sweep looks at all conversations there are, again and again: what moves no
// last activity is found by nothing else.
func (r *Reconciler) sweep(ctx context.Context) error {
	retries := newRetries()
	wait := r.o.Sweep
	r.mu.Lock()
	if !r.swept {
		wait = suspicionWait // the first comparison sets the floor
	}
	r.mu.Unlock()
	for {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		began := time.Now()
		err := r.sweepOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			r.o.Log.Debug("the sweep begins anew", "error", err)
			wait = retries.after(err)
		default:
			retries.Reset()
			wait = max(0, r.o.Sweep-time.Since(began))
		}
	}
}

// sweepOnce goes through the list once, at the pace.
func (r *Reconciler) sweepOnce(ctx context.Context) error {
	r.mu.Lock()
	begun := r.begun
	r.mu.Unlock()
	if !begun {
		return errNoFloor
	}
	for q := (connectors.Query{}); ; {
		page, err := r.list(ctx, patiently, q)
		if err != nil {
			return err
		}
		if err := r.compareAll(ctx, patiently, r.doubtful(page.Conversations)); err != nil {
			return err
		}
		if q.Page = page.Next; q.Page == "" {
			break
		}
	}
	r.mu.Lock()
	r.swept = true
	r.mu.Unlock()
	return nil
}

// doubtful are those of a page that must be looked at: what differs from what is
// known, and what is young enough to have been edited. Those of the past of
// which nothing is known are known from now on.
func (r *Reconciler) doubtful(page []connectors.Frame) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, f := range page {
		r.seed(f)
		_, activity := times(f.Data)
		fields, unread := digest(f.Data)
		c := r.memory.conversation(f.Object)
		if c.fields != fields || c.unread != unread || !c.born || activity.After(r.memory.newest.Add(-r.o.Depth)) {
			ids = append(ids, f.Object)
		}
	}
	return ids
}
