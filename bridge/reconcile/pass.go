package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/switchboard-dev/switchboard/connectors"
)

// mode says what to do with what is missing.
type mode int

const (
	// atOnce publishes it: the socket is held, so it is not on its way.
	atOnce mode = iota
	// patiently looks a second time, after Options.Settle.
	patiently
)

// cursor is up to where the account was compared.
type cursor struct {
	// Newest is the latest activity of a conversation.
	Newest time.Time `json:"newest"`
	// Date is the backend's clock then, and At ours.
	Date time.Time `json:"date"`
	At   time.Time `json:"at"`
}

// pass compares every conversation that was active since the last complete
// one, and those under suspicion.
func (r *Reconciler) pass(ctx context.Context, m mode) error {
	began := time.Now()
	r.mu.Lock()
	suspects := r.suspects
	r.suspects = map[string]struct{}{}
	r.mu.Unlock()
	listed, next, err := r.recent(ctx, m)
	var ids []string
	if err == nil {
		for _, f := range listed {
			if r.settled(f) {
				delete(suspects, f.Object)
			} else {
				suspects[f.Object] = struct{}{}
			}
		}
		for _, f := range slices.Backward(listed) { // the longest quiet first
			if _, ok := suspects[f.Object]; ok {
				ids = append(ids, f.Object)
				delete(suspects, f.Object)
			}
		}
		for id := range suspects {
			ids = append(ids, id)
		}
		err = r.compareAll(ctx, m, ids)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		for id := range suspects {
			r.suspects[id] = struct{}{}
		}
		for _, id := range ids {
			r.suspects[id] = struct{}{}
		}
		return err
	}
	r.cursor = next
	r.passed(began)
	return nil
}

// inARow is how many conversations that cannot be compared, one after the other,
// are taken for a backend that does not answer.
const inARow = 3

// compareAll compares conversations, and those again, a little later, in which
// something is missing that may be on its way. One that cannot be read does not
// keep the others from it.
func (r *Reconciler) compareAll(ctx context.Context, m mode, ids []string) error {
	missing := map[string]map[string]bool{}
	var again []string
	var failure error
	failed := 0
	for _, id := range ids {
		pending, err := r.compare(ctx, id, m, nil)
		if err != nil {
			_, busy := errors.AsType[*connectors.Busy](err)
			if failed++; failed == inARow || busy || ctx.Err() != nil || errors.Is(err, connectors.ErrRefused) {
				return err
			}
			failure = err
			continue
		}
		failed = 0
		if len(pending) > 0 {
			missing[id] = pending
			again = append(again, id)
		}
	}
	if len(again) == 0 {
		return failure
	}
	if err := sleep(ctx, r.o.Settle); err != nil {
		return err
	}
	for _, id := range again {
		if _, err := r.compare(ctx, id, patiently, missing[id]); err != nil {
			return err
		}
	}
	return failure
}

// recent lists the conversations that were active since the cursor, less the
// overlap, the most recent first, and returns the cursor for the next time.
func (r *Reconciler) recent(ctx context.Context, m mode) (list []connectors.Frame, next cursor, err error) {
	r.mu.Lock()
	was, begun := r.cursor, r.begun
	r.mu.Unlock()
	since := was.since()
	for q := (connectors.Query{ActiveAfter: since}); ; {
		asked := time.Now()
		page, err := r.list(ctx, m, q)
		if err != nil {
			return nil, next, err
		}
		if q.Page == "" {
			if !begun {
				since = r.begin(page)
				begun = true
			}
			next = cursor{Newest: was.Newest, Date: page.Date, At: asked}
			if back := was.steppedBack(page.Date, asked); back.Before(since) && !back.IsZero() {
				r.o.Log.Warn("the backend's clock was set back", "by", since.Sub(back).Round(time.Second))
				was, since = cursor{}, back
				q.ActiveAfter = since
				continue
			}
		}
		older := 0
		r.mu.Lock()
		for _, f := range page.Conversations {
			_, activity := times(f.Data)
			r.memory.advance(activity)
			if activity.After(next.Newest) {
				next.Newest = activity
			}
			if activity.Before(since) {
				older++
				r.seed(f)
				continue
			}
			list = append(list, f)
		}
		r.mu.Unlock()
		if page.Next == "" || older > 0 && older == len(page.Conversations) {
			return list, next, nil
		}
		q.Page = page.Next
	}
}

// since is from when on to list.
func (c cursor) since() time.Time {
	t := c.Newest
	if !c.Date.IsZero() && c.Date.Before(t) {
		t = c.Date
	}
	if t.IsZero() {
		return t
	}
	return t.Add(-overlap)
}

// steppedBack is from when on to list where the backend's clock shows less than
// it should; zero: it does not, or nobody can tell.
func (c cursor) steppedBack(date, asked time.Time) time.Time {
	if c.Date.IsZero() || date.IsZero() || c.At.IsZero() {
		return time.Time{}
	}
	elapsed := asked.Sub(c.At)
	if slow := c.Date.Add(elapsed).Sub(date); slow < 2*time.Second { // Date has whole seconds
		return time.Time{}
	}
	return date.Add(-elapsed - overlap)
}

// list asks for one page.
func (r *Reconciler) list(ctx context.Context, m mode, q connectors.Query) (connectors.Page, error) {
	if m == patiently {
		if err := r.pace.Wait(ctx); err != nil {
			return connectors.Page{}, fmt.Errorf("wait to ask the backend: %w", err)
		}
	}
	return r.o.Reader.Conversations(ctx, q)
}

// begin sets the floor, by the first page of the first comparison, and returns
// from when on to list.
func (r *Reconciler) begin(page connectors.Page) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var newest time.Time
	for _, f := range page.Conversations {
		if _, activity := times(f.Data); activity.After(newest) {
			newest = activity
		}
	}
	r.begun = true
	signal(r.floor)
	if newest.IsZero() {
		return newest // there is no past
	}
	r.memory.floor = newest.Add(-r.o.Backfill)
	r.memory.edits = r.memory.floor
	if page.Date.After(newest) {
		r.memory.edits = page.Date.Add(time.Second - r.o.Backfill) // it is rounded down
	}
	r.o.Log.Info("first comparison with the backend: what is older is not published", "than", r.memory.floor)
	return r.memory.floor
}

// seed takes in the fields of a conversation of the past, of which nothing was
// told. The caller holds the lock.
func (r *Reconciler) seed(f connectors.Frame) {
	created, _ := times(f.Data)
	c := r.memory.conversation(f.Object)
	if c.fields != "" || created.After(r.memory.floor) {
		return
	}
	c.born = true
	c.fields, c.unread = digest(f.Data)
	r.memory.dirty[f.Object] = struct{}{}
}

// settled reports whether nothing can have happened in a conversation since it
// was compared.
func (r *Reconciler) settled(f connectors.Frame) bool {
	_, activity := times(f.Data)
	fields, unread := digest(f.Data)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.memory.conversations[f.Object]
	return c != nil && c.settled && c.activity.Equal(activity) && c.fields == fields && c.unread == unread
}

// compare asks for a conversation, and publishes what is missing. Patiently, it
// publishes only what is in confirmed, and returns the rest.
func (r *Reconciler) compare(ctx context.Context, id string, m mode, confirmed map[string]bool) (pending map[string]bool, err error) {
	if m == patiently {
		if err := r.pace.Wait(ctx); err != nil {
			return nil, fmt.Errorf("wait to ask the backend: %w", err)
		}
	}
	asked := time.Now()
	detail, err := r.o.Reader.Conversation(ctx, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.memory.conversation(id)
	if errors.Is(err, connectors.ErrNotFound) {
		c.deleted = true
		r.memory.dirty[id] = struct{}{}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pending = map[string]bool{}
	for _, f := range r.findings(c, detail) {
		switch {
		case m == atOnce && r.held != nil, confirmed[f.key]:
			if err := r.publish(ctx, Item{Frame: f.frame, ID: Identity(r.o.Account, f.frame)}); err != nil {
				return nil, err
			}
		default:
			pending[f.key] = true
		}
	}
	if len(pending) == 0 {
		r.agreed(c, detail)
		_, activity := times(detail.Conversation.Data)
		// What is as old as that has come by now, if it ever will.
		c.settled = c.activity.Equal(activity) && asked.Sub(c.seen) > overlap
		c.activity = activity
		r.memory.compared(id, detail.Messages)
	}
	return pending, nil
}

// retries are the waits after a comparison that failed.
type retries struct{ *backoff.ExponentialBackOff }

func newRetries() retries {
	return retries{&backoff.ExponentialBackOff{
		InitialInterval: time.Second, MaxInterval: 30 * time.Second, Multiplier: 2, RandomizationFactor: 0.3,
	}}
}

// after is the wait after an error; a backend that names one gets it.
func (b retries) after(err error) time.Duration {
	const longest = 5 * time.Minute
	wait := b.NextBackOff()
	if busy, ok := errors.AsType[*connectors.Busy](err); ok && busy.After > 0 {
		return min(max(wait, busy.After), longest)
	}
	if errors.Is(err, connectors.ErrRefused) {
		return max(wait, 30*time.Second)
	}
	return wait
}
