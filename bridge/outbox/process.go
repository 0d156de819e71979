package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// entry is what the ledger says of an action.
type entry struct {
	// State is accepted, sending, or the type of the event that the action
	// ended as.
	State string `json:"state"`
	// Attempts counts the tries, those that the backend turned away included.
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason,omitempty"`
	// Event is the id of the event that confirmed it.
	Event string `json:"event,omitempty"`
	// Type and Conversation are the action's, for its result to be told again
	// when it is out of the queue.
	Type         event.ActionType `json:"type,omitempty"`
	Conversation string           `json:"conversation,omitempty"`
	// Baseline is what was known before it was first sent; nil: it never was.
	Baseline *baseline `json:"baseline,omitempty"`
	// Hash tells its payload from another's; see [keys].
	Hash string `json:"hash,omitempty"`
	// Cancelled: it failed because the operator wanted it to.
	Cancelled bool `json:"cancelled,omitempty"`
}

const (
	// accepted: nothing was written to the backend.
	accepted = "accepted"
	// sending: it is about to be written, or was.
	sending = "sending"
)

// lifetime is how long an action that names no end is worth sending.
func lifetime(t event.ActionType) time.Duration {
	if t == event.MarkAsRead {
		return time.Hour
	}
	return 24 * time.Hour
}

// process brings one action to its end. An error says that it is not there
// yet, and that the action must stay where it is, to be processed again. ctx
// ends the waiting for a connection and the looking, work everything.
func (o *Outbox) process(ctx, work context.Context, j *job) error {
	o.traceProcessing(j)
	if err := o.recall(work, j); err != nil {
		return err
	}
	for j.end == "" {
		if o.cancelled(j) {
			break
		}
		step := o.send
		if j.flight != nil {
			step = o.settle
		}
		if err := step(ctx, work, j); err != nil {
			return err
		}
	}
	return o.finish(work, j)
}

// recall reads what the ledger says of an action that this process knows
// nothing of.
func (o *Outbox) recall(ctx context.Context, j *job) error {
	if !j.known {
		data, err := o.o.Bus.ReadLedger(ctx, j.Action.Account, j.Sender, j.Action.ID)
		if err != nil {
			return err
		}
		j.entry = entry{State: accepted}
		if data != nil && useLedger {
			if err := json.Unmarshal(data, &j.entry); err != nil {
				return fmt.Errorf("read the ledger: %w", err)
			}
		}
		j.known = true
		switch j.entry.State {
		case accepted:
		case sending:
			o.begin(j)
			j.flight = &flight{began: o.began, why: "unclear: the bridge ended while it was being sent"}
		default: // its end was written, and maybe not told
			j.end = event.Type(j.entry.State)
		}
	}
	if j.end == "" && j.flight == nil && j.covered != nil {
		j.end, j.entry.Event, j.entry.Reason = event.ActionConfirmed, j.covered.event, j.covered.reason
	}
	return nil
}

// expires is until when the action is worth sending.
func expires(j *job) time.Time {
	a := j.Action
	if !a.Expires.IsZero() {
		return a.Expires
	}
	from := j.Accepted
	if a.At.After(from) {
		from = a.At
	}
	return from.Add(lifetime(a.Type))
}

// send sends an action once, as soon as there is a connection and it is its
// turn. Afterwards it has an end, or is in flight, or can be sent again.
func (o *Outbox) send(ctx, work context.Context, j *job) error {
	a := j.Action
	end := expires(j)
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if j.entry.Baseline == nil { // what may have been done does not expire
		waiting, cancel = context.WithDeadline(ctx, end)
	}
	o.interruptible(j, cancel)
	err := o.o.Link.Ready(waiting)
	if err == nil {
		err = o.turns.wait(waiting, j.Sender)
	}
	late := waiting.Err() != nil
	cancel()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case o.cancelled(j):
		return nil
	case late:
		j.end, j.entry.Reason = event.ActionExpired, "not sent by "+end.UTC().Format(time.RFC3339)
		return nil
	case err != nil:
		return err
	}

	if !o.begin(j) {
		return nil
	}
	ref := j.Sender + "/" + a.ID
	x := o.echoes.expect(a, j.Sender, ref, j.entry.Baseline, o.highest(a.Conversation))
	next := j.entry
	next.State, next.Attempts, next.Baseline = sending, j.entry.Attempts+1, &x.baseline
	if err := o.write(work, j, next); err != nil {
		o.echoes.forget(a.Conversation)
		o.unbegin(j)
		return err
	}
	reads := o.readsBehind(j)
	began := time.Now()
	err = o.o.Link.Send(work, a, ref)
	busy, turnedAway := errors.AsType[*connectors.Busy](err)
	switch {
	case errors.Is(err, link.ErrNotConnected): // nothing was written
		o.echoes.forget(a.Conversation)
		o.unbegin(j)
		return o.write(work, j, j.entry)
	case errors.Is(err, connectors.ErrPermanent):
		o.echoes.forget(a.Conversation)
		j.end, j.entry.Reason = event.ActionFailed, err.Error()
		return nil
	case turnedAway:
		o.echoes.forget(a.Conversation)
		return o.retry(ctx, work, j, busy)
	}
	j.entry = next
	j.flight = &flight{began: began, socket: o.o.Link.Status().Connections, echo: x, reads: reads}
	if err != nil {
		j.flight.why = fmt.Sprintf("unclear: %v", err)
		return nil
	}
	o.counts.sent.Add(1)
	j.span.Event("sent")
	if err := o.tell(work, j, event.ActionSent); err != nil {
		o.o.Log.Debug("action.sent was not told", "id", a.ID, "error", err)
	}
	return nil
}

// highest is the highest id of a message that others than the outbox know of.
func (o *Outbox) highest(conversation string) int64 {
	if o.o.Baseline == nil {
		return 0
	}
	return o.o.Baseline(conversation)
}

// retry waits before an action is sent again that the backend turned away for
// a while, or ends it when that was the last of its attempts.
func (o *Outbox) retry(ctx, work context.Context, j *job, busy *connectors.Busy) error {
	j.entry.Attempts++
	if o.exhausted(j, busy.Error()) {
		return nil
	}
	if err := o.write(work, j, j.entry); err != nil {
		return err
	}
	if j.backoff == nil {
		j.backoff = patient()
	}
	wait := max(j.backoff.NextBackOff(), busy.After)
	o.o.Log.Info("the backend wants an action later", "action", j.Action.Type, "id", j.Action.ID, "error", busy, "again_in", wait.Round(time.Millisecond))
	// It waits as it did before its turn: it can be cancelled.
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	o.unbegin(j)
	o.interruptible(j, cancel)
	<-waiting.Done()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// exhausted ends an action that has had all its attempts.
func (o *Outbox) exhausted(j *job, reason string) bool {
	if j.entry.Attempts < o.o.Attempts {
		return false
	}
	j.end = event.ActionFailed
	j.entry.Reason = fmt.Sprintf("gave up after %d attempts: %s", j.entry.Attempts, reason)
	return true
}

// patient waits about 1 s, then twice as long, …, and about 1 min at most.
func patient() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: time.Second, MaxInterval: time.Minute, Multiplier: 2, RandomizationFactor: 0.25,
	}
}

// finish writes an action's end, tells it, and takes the action out of the
// queue, in this order: whatever is interrupted is done again with the same
// result.
func (o *Outbox) finish(ctx context.Context, j *job) error {
	j.entry.State = string(j.end)
	if err := o.write(ctx, j, j.entry); err != nil {
		return err
	}
	if j.end == event.ActionFailed && !j.entry.Cancelled {
		if err := j.Bury(ctx, j.entry.Reason, j.entry.Attempts); err != nil {
			return err
		}
	}
	if err := o.tell(ctx, j, j.end); err != nil {
		return err
	}
	if err := j.Done(ctx); err != nil {
		return err
	}
	j.entry.Type, j.entry.Conversation = j.Action.Type, j.Action.Conversation
	o.waiters.tell(j.Sender, j.Action.ID, j.entry) // before its key has its end
	o.keys.done(j.Sender, j.Action.ID, j.Hash)
	endProcessing(j)
	switch j.end {
	case event.ActionConfirmed:
		o.counts.confirmed.Add(1)
	case event.ActionExpired:
		o.counts.expired.Add(1)
	default:
		o.counts.failed.Add(1)
		o.o.Log.Warn("action failed", tracing.Log(j.Action.TraceID()), "action", j.Action.Type, "id", j.Action.ID, "sender", j.Sender,
			"conversation", j.Action.Conversation, "reason", j.entry.Reason)
	}
	return nil
}

// tell publishes an event about the action and returns when it is in the
// stream. Its id is the same each time it is told.
func (o *Outbox) tell(ctx context.Context, j *job, t event.Type) error {
	a := j.Action
	return o.publish(ctx, t, event.ActionResult{
		ID: a.ID, Type: a.Type, Account: a.Account, Conversation: a.Conversation,
		By: j.Sender, Reason: j.entry.Reason, Attempts: j.entry.Attempts, Event: j.entry.Event,
	}, a.TraceParent, a.TraceState)
}

// resultID is the id of an event about an action.
func resultID(account string, t event.Type, sender, id string) string {
	return fmt.Sprintf("%s/%s/%s/%s", account, t, sender, id)
}

func (o *Outbox) publish(ctx context.Context, t event.Type, r event.ActionResult, traceParent, traceState string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("tell %s: %w", t, err)
	}
	told := make(chan bus.Publication, 1)
	err = o.o.Bus.Publish(ctx, event.Event{
		ID: resultID(r.Account, t, r.By, r.ID), Type: t, Source: o.o.Source, Account: r.Account, Conversation: r.Conversation,
		Time: time.Now(), By: r.By, Action: r.ID, Data: data, TraceParent: traceParent, TraceState: traceState,
	}, func(p bus.Publication) { told <- p })
	if err != nil {
		return fmt.Errorf("tell %s: %w", t, err)
	}
	select {
	case p := <-told:
		return p.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o *Outbox) write(ctx context.Context, j *job, e entry) error {
	e.Type, e.Conversation = j.Action.Type, j.Action.Conversation
	e.Hash = j.Hash
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return o.o.Bus.WriteLedger(ctx, j.Action.Account, j.Sender, j.Action.ID, data)
}
