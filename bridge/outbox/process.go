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
// yet, and that the action must stay where it is. ctx ends the waiting for a
// connection, work everything.
func (o *Outbox) process(ctx, work context.Context, q *bus.Queued) error {
	a := q.Action
	known, err := o.read(work, q)
	switch {
	case err != nil:
		return err
	case known == nil || known.State == accepted:
	case known.State == sending:
		known.Reason = "unclear: the bridge ended while it was being sent; it is not sent again, since it may have been done"
		return o.finish(work, q, event.ActionFailed, *known)
	default: // its end was written, and maybe not told
		return o.finish(work, q, event.Type(known.State), *known)
	}

	expires := a.Expires
	if expires.IsZero() {
		from := q.Accepted
		if a.At.After(from) {
			from = a.At
		}
		expires = from.Add(lifetime(a.Type))
	}
	var e entry
	for {
		waiting, cancel := context.WithDeadline(ctx, expires)
		err := o.o.Link.Ready(waiting)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || !time.Now().Before(expires) {
			e.Reason = "not sent by " + expires.UTC().Format(time.RFC3339)
			return o.finish(work, q, event.ActionExpired, e)
		}

		e.State, e.Attempts = sending, e.Attempts+1
		if err := o.write(work, q, e); err != nil {
			return err
		}
		ref := q.Sender + "/" + a.ID
		echo := o.echoes.expect(a, q.Sender, ref)
		err = o.o.Link.Send(work, a, ref)
		switch {
		case errors.Is(err, link.ErrNotConnected): // nothing was written
			o.echoes.forget(a.Conversation)
			e.State, e.Attempts = accepted, e.Attempts-1
			if err := o.write(work, q, e); err != nil {
				return err
			}
			continue
		case errors.Is(err, connectors.ErrPermanent):
			o.echoes.forget(a.Conversation)
			e.Reason = err.Error()
			return o.finish(work, q, event.ActionFailed, e)
		case err == nil:
			o.counts.sent.Add(1)
			if err := o.tell(work, q, event.ActionSent, e); err != nil {
				o.o.Log.Debug("action.sent was not told", "id", a.ID, "error", err)
			}
		}
		return o.await(work, q, e, echo, err)
	}
}

// await waits for the echo of an action that was written, or maybe was.
func (o *Outbox) await(work context.Context, q *bus.Queued, e entry, echo <-chan string, sendErr error) error {
	defer o.echoes.forget(q.Action.Conversation)
	timeout := time.NewTimer(o.o.Confirm)
	defer timeout.Stop()
	select {
	case e.Event = <-echo:
		return o.finish(work, q, event.ActionConfirmed, e)
	case <-timeout.C:
		e.Reason = fmt.Sprintf("unclear: sent, but the backend did not echo it within %s", o.o.Confirm)
		if sendErr != nil {
			e.Reason = fmt.Sprintf("unclear: %v, and no echo of it came within %s", sendErr, o.o.Confirm)
		} else if complaint := o.echoes.complaint(); complaint != "" {
			e.Reason += "; meanwhile it complained: " + complaint
		}
		return o.finish(work, q, event.ActionFailed, e)
	case <-work.Done():
		return context.Cause(work)
	}
}

// finish writes an action's end, tells it, and takes the action out of the
// queue, in this order: whatever is interrupted is done again with the same
// result.
func (o *Outbox) finish(ctx context.Context, q *bus.Queued, end event.Type, e entry) error {
	e.State = string(end)
	if err := o.write(ctx, q, e); err != nil {
		return err
	}
	if end == event.ActionFailed {
		if err := q.Bury(ctx, e.Reason, e.Attempts); err != nil {
			return err
		}
	}
	if err := o.tell(ctx, q, end, e); err != nil {
		return err
	}
	if err := q.Done(ctx); err != nil {
		return err
	}
	switch end {
	case event.ActionConfirmed:
		o.counts.confirmed.Add(1)
	case event.ActionExpired:
		o.counts.expired.Add(1)
	default:
		o.counts.failed.Add(1)
		o.o.Log.Warn("action failed", "action", q.Action.Type, "id", q.Action.ID, "sender", q.Sender,
			"conversation", q.Action.Conversation, "reason", e.Reason)
	}
	return nil
}

// tell publishes an event about the action and returns when it is in the
// stream. Its id is the same each time it is told.
func (o *Outbox) tell(ctx context.Context, q *bus.Queued, t event.Type, e entry) error {
	a := q.Action
	data, err := json.Marshal(event.ActionResult{
		ID: a.ID, Type: a.Type, Account: a.Account, Conversation: a.Conversation,
		By: q.Sender, Reason: e.Reason, Attempts: e.Attempts, Event: e.Event,
	})
	if err != nil {
		return fmt.Errorf("tell %s: %w", t, err)
	}
	told := make(chan bus.Publication, 1)
	err = o.o.Bus.Publish(ctx, event.Event{
		ID:   fmt.Sprintf("%s/%s/%s/%s", a.Account, t, q.Sender, a.ID),
		Type: t, Source: o.o.Source, Account: a.Account, Conversation: a.Conversation,
		Time: time.Now(), By: q.Sender, Action: a.ID, Data: data,
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

func (o *Outbox) read(ctx context.Context, q *bus.Queued) (*entry, error) {
	data, err := o.o.Bus.ReadLedger(ctx, q.Action.Account, q.Sender, q.Action.ID)
	if err != nil || data == nil {
		return nil, err
	}
	var e entry
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return &e, nil
}

func (o *Outbox) write(ctx context.Context, q *bus.Queued, e entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return o.o.Bus.WriteLedger(ctx, q.Action.Account, q.Sender, q.Action.ID, data)
}
