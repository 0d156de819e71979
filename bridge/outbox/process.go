package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
	State    string `json:"state"`
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason,omitempty"`
	// Event is the id of the event that confirmed it.
	Event string `json:"event,omitempty"`
	// Hash tells its payload from another's; see [keys].
	Hash string `json:"hash,omitempty"`
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
// ends the waiting for a connection, work everything.
func (o *Outbox) process(ctx, work context.Context, j *job) error {
	o.traceProcessing(j)
	if err := o.recall(work, j); err != nil {
		return err
	}
	if j.end != "" {
		return o.finish(work, j)
	}
	a := j.Action
	expires := a.Expires
	if expires.IsZero() {
		from := j.Accepted
		if a.At.After(from) {
			from = a.At
		}
		expires = from.Add(lifetime(a.Type))
	}
	for {
		waiting, cancel := context.WithDeadline(ctx, expires)
		err := o.o.Link.Ready(waiting)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || !time.Now().Before(expires) {
			j.end, j.entry.Reason = event.ActionExpired, "not sent by "+expires.UTC().Format(time.RFC3339)
			return o.finish(work, j)
		}

		if err := o.write(work, j, entry{State: sending, Attempts: j.entry.Attempts + 1}); err != nil {
			return err
		}
		ref := j.Sender + "/" + a.ID
		echo := o.echoes.expect(a, j.Sender, ref)
		err = o.o.Link.Send(work, a, ref)
		switch {
		case errors.Is(err, link.ErrNotConnected): // nothing was written
			o.echoes.forget(a.Conversation)
			if err := o.write(work, j, j.entry); err != nil {
				return err
			}
			continue
		case errors.Is(err, connectors.ErrPermanent):
			o.echoes.forget(a.Conversation)
			j.end, j.entry.Reason = event.ActionFailed, err.Error()
			return o.finish(work, j)
		}
		j.entry.Attempts++
		if err == nil {
			o.counts.sent.Add(1)
			j.span.Event("sent")
			if err := o.tell(work, j, event.ActionSent); err != nil {
				o.o.Log.Debug("action.sent was not told", "id", a.ID, "error", err)
			}
		}
		if err := o.await(work, j, echo, err); err != nil {
			return err
		}
		return o.finish(work, j)
	}
}

// recall reads what the ledger says of an action that this process knows
// nothing of.
func (o *Outbox) recall(ctx context.Context, j *job) error {
	if j.known {
		return nil
	}
	data, err := o.o.Bus.ReadLedger(ctx, j.Action.Account, j.Sender, j.Action.ID)
	if err != nil {
		return err
	}
	j.entry = entry{State: accepted}
	if data != nil {
		if err := json.Unmarshal(data, &j.entry); err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
	}
	j.known = true
	switch j.entry.State {
	case accepted:
	case sending:
		j.end = event.ActionFailed
		j.entry.Reason = "unclear: the bridge ended while it was being sent; it is not sent again, since it may have been done"
	default: // its end was written, and maybe not told
		j.end = event.Type(j.entry.State)
	}
	return nil
}

// await waits for the echo of an action that was written, or maybe was, and
// says what the action ended as.
func (o *Outbox) await(work context.Context, j *job, echo <-chan string, sendErr error) error {
	defer o.echoes.forget(j.Action.Conversation)
	timeout := time.NewTimer(o.o.Confirm)
	defer timeout.Stop()
	select {
	case j.entry.Event = <-echo:
		j.end = event.ActionConfirmed
	case <-timeout.C:
		j.end = event.ActionFailed
		j.entry.Reason = fmt.Sprintf("unclear: sent, but the backend did not echo it within %s", o.o.Confirm)
		if sendErr != nil {
			j.entry.Reason = fmt.Sprintf("unclear: %v, and no echo of it came within %s", sendErr, o.o.Confirm)
		} else if complaint := o.echoes.complaint(); complaint != "" {
			j.entry.Reason += "; meanwhile it complained: " + complaint
		}
	case <-work.Done():
		return context.Cause(work)
	}
	return nil
}

// finish writes an action's end, tells it, and takes the action out of the
// queue, in this order: whatever is interrupted is done again with the same
// result.
func (o *Outbox) finish(ctx context.Context, j *job) error {
	j.entry.State = string(j.end)
	if err := o.write(ctx, j, j.entry); err != nil {
		return err
	}
	if j.end == event.ActionFailed {
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
	data, err := json.Marshal(event.ActionResult{
		ID: a.ID, Type: a.Type, Account: a.Account, Conversation: a.Conversation,
		By: j.Sender, Reason: j.entry.Reason, Attempts: j.entry.Attempts, Event: j.entry.Event,
	})
	if err != nil {
		return fmt.Errorf("tell %s: %w", t, err)
	}
	told := make(chan bus.Publication, 1)
	err = o.o.Bus.Publish(ctx, event.Event{
		ID:   fmt.Sprintf("%s/%s/%s/%s", a.Account, t, j.Sender, a.ID),
		Type: t, Source: o.o.Source, Account: a.Account, Conversation: a.Conversation,
		Time: time.Now(), By: j.Sender, Action: a.ID, Data: data,
		TraceParent: a.TraceParent, TraceState: a.TraceState,
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
	e.Hash = j.Hash
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return o.o.Bus.WriteLedger(ctx, j.Action.Account, j.Sender, j.Action.ID, data)
}
