package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Errors of [Door.Cancel].
var (
	// ErrNotWaiting: there is no such action that is accepted and not finished.
	ErrNotWaiting = errors.New("nothing to cancel")
	// ErrSending: it may have reached the backend.
	ErrSending = errors.New("too late to cancel")
)

// cancelReason is why a cancelled action failed.
const cancelReason = "cancelled by operator"

// cancellation is how a job stands between being sent and being cancelled:
// what comes first keeps out the other.
type cancellation struct {
	// begun: it is being sent, or was.
	begun bool
	// wanted: it is to be cancelled.
	wanted bool
	// interrupt ends what it waits for; nil: it has not waited.
	interrupt context.CancelFunc
	// over is closed when the job is let go; nil: nobody waits for that.
	over chan struct{}
}

// Cancel ends an action that is accepted and not being sent as failed, and
// returns when that is in the ledger and told. An error that matches
// [ErrNotWaiting] or [ErrSending] says that it has its end, or will have
// another; one that matches [ErrUnavailable], that nothing is known.
func (d *Door) Cancel(ctx context.Context, account, sender, id string) error {
	o := d.accounts[account]
	if o == nil {
		return d.unknown(account)
	}
	if err := d.load(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return o.cancel(ctx, sender, id)
}

func (o *Outbox) cancel(ctx context.Context, sender, id string) error {
	sequence, err := o.keys.place(sender, id)
	if err != nil {
		return err
	}
	q, err := o.o.Bus.QueuedAt(ctx, sequence)
	switch {
	case errors.Is(err, bus.ErrNotQueued), err == nil && (q.Sender != sender || q.Action.ID != id || q.Action.Account != o.o.Account):
		return fmt.Errorf("%w: action %q of sender %q has its end already", ErrNotWaiting, id, sender)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := o.untouched(ctx, sender, id); err != nil {
		return err
	}
	j, err := o.want(q)
	if err != nil {
		return err
	}
	select {
	case <-j.over:
	case <-ctx.Done():
		return fmt.Errorf("%w: it is being cancelled, but that is not written yet: %w", ErrUnavailable, context.Cause(ctx))
	}
	switch {
	case !j.done:
		return fmt.Errorf("%w: the bridge is stopping", ErrUnavailable)
	case !j.entry.Cancelled:
		return fmt.Errorf("%w: %s %q ended meanwhile", ErrNotWaiting, q.Action.Type, id)
	}
	return nil
}

// untouched asks the ledger whether an action was never sent. What an earlier
// process was sending is known there alone.
func (o *Outbox) untouched(ctx context.Context, sender, id string) error {
	data, err := o.o.Bus.ReadLedger(ctx, o.o.Account, sender, id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if data == nil {
		return nil
	}
	var said entry
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("%w: read the ledger: %w", ErrUnavailable, err)
	}
	switch said.State {
	case accepted:
		return nil
	case sending:
		return tooLate(id)
	}
	return fmt.Errorf("%w: action %q has ended as %s", ErrNotWaiting, id, said.State)
}

func tooLate(id string) error {
	return fmt.Errorf("%w: action %q is being sent, and may have been done; `switchboard tail --type 'action.*'` shows what becomes of it", ErrSending, id)
}

// want marks an action to be cancelled, wherever it is, and returns the job
// that is over when it is done.
func (o *Outbox) want(q *bus.Queued) (*job, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.running; r == nil || r.ctx.Err() != nil {
		return nil, fmt.Errorf("%w: nothing is taken from the queue now", ErrUnavailable)
	}
	if j := o.cancelling[q.Sequence]; j != nil {
		return j, nil
	}
	key := q.Action.Conversation
	i := slices.IndexFunc(o.lanes[key], func(j *job) bool { return j.Sequence == q.Sequence })
	if i == 0 { // it is under way: its lane's goroutine ends it
		j := o.lanes[key][0]
		if j.begun {
			return nil, tooLate(q.Action.ID)
		}
		o.cancelling[q.Sequence] = j
		j.wanted, j.over = true, make(chan struct{})
		if j.interrupt != nil {
			j.interrupt()
		}
		return j, nil
	}
	if i > 0 {
		o.lanes[key] = slices.Delete(slices.Clone(o.lanes[key]), i, i+1)
	}
	// It is taken out of what it waits in, or the queue, by being ours already.
	if taken := o.out[q.Sequence]; taken != nil {
		q = taken
	}
	o.out[q.Sequence] = q
	delete(o.parked, q.Sequence)
	j := &job{Queued: q, cancellation: cancellation{wanted: true, over: make(chan struct{})}}
	o.cancelling[q.Sequence] = j
	o.running.working.Go(func() { o.withdraw(o.running.work, j) })
	return j, nil
}

// withdraw ends a job that is in no lane any more.
func (o *Outbox) withdraw(work context.Context, j *job) {
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.release(j)
	}()
	for work.Err() == nil {
		err := o.recall(work, j)
		if err == nil && !o.cancelled(j) { // it ended before it was ours
			j.done = true
			return
		}
		if err == nil {
			err = o.finish(work, j)
		}
		if err == nil {
			j.done = true
			return
		}
		o.o.Log.Warn("a cancelled action waits", "action", j.Action.Type, "id", j.Action.ID, "error", err)
		pause(work)
	}
}

// cancelled gives a job that is to be cancelled its end, if it has no other.
func (o *Outbox) cancelled(j *job) bool {
	if j.entry.Cancelled {
		return true
	}
	o.mu.Lock()
	wanted := j.wanted && !j.begun
	o.mu.Unlock()
	if !wanted || j.end != "" || j.flight != nil {
		return false
	}
	j.end, j.entry.Reason, j.entry.Cancelled = event.ActionFailed, cancelReason, true
	return true
}

// begin says that the job is about to be sent, from when on it cannot be
// cancelled; false: it is to be cancelled.
func (o *Outbox) begin(j *job) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !j.wanted {
		j.begun = true
	}
	return j.begun
}

// unbegin says that nothing of the job was sent this time.
func (o *Outbox) unbegin(j *job) {
	o.mu.Lock()
	defer o.mu.Unlock()
	j.begun = j.entry.Baseline != nil // an earlier time may have been
}

// interruptible names what ends the job's waiting, when it is to be cancelled.
func (o *Outbox) interruptible(j *job, end context.CancelFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if j.interrupt = end; j.wanted {
		end()
	}
}

// ours reports whether an action that was taken off the queue still is to go
// its way. The caller holds the lock.
func (o *Outbox) ours(q *bus.Queued) bool {
	return o.out[q.Sequence] == q && o.cancelling[q.Sequence] == nil
}

// release lets go of a job. The caller holds the lock.
func (o *Outbox) release(j *job) {
	delete(o.out, j.Sequence)
	delete(o.cancelling, j.Sequence)
	if j.over != nil {
		close(j.over)
	}
}

// pause is that before what could not be written is tried again.
func pause(ctx context.Context) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}
