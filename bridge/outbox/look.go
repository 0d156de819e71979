package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// verdict is what the backend's REST tells of an action.
type verdict struct {
	// done: it was; event is that of what came of it, where there is one.
	done  bool
	event string
	// again: it was not, for certain, and may be sent again.
	again bool
	// never: it must not be sent again, since it cannot be done, or not be
	// looked for.
	never bool
	// reason says what was seen of an action that does not seem to be done.
	reason string
}

// steps are when an action is looked for, as parts of the time to settle: by
// default after 0, 2, 5, 10, 20 and 30 s.
var steps = [...]float64{0, 1. / 15, 1. / 6, 1. / 3, 2. / 3, 1}

// askers is how many actions are looked for at once: after a cut there may be as
// many as there are conversations.
const askers = 4

// look asks the backend for an action until it is found, or the time to settle
// is over and the socket that it went out on is closed: before that it may
// still arrive. While the backend does not answer it asks on. An echo that
// comes meanwhile ends it, too.
func (o *Outbox) look(ctx context.Context, j *job) (verdict, error) {
	f, failing := j.flight, patient()
	for {
		select {
		case o.asking <- struct{}{}:
		case h := <-f.echo.echo:
			f.heard = &h
			return verdict{}, nil
		case <-ctx.Done():
			return verdict{}, context.Cause(ctx)
		}
		closed, settled := o.closed(f.socket), !time.Now().Before(f.began.Add(o.o.Settle))
		v, err := o.ask(ctx, j)
		<-o.asking
		wait := o.nextStep(f.began)
		switch {
		case ctx.Err() != nil:
			return v, context.Cause(ctx)
		case errors.Is(err, connectors.ErrPermanent):
			return verdict{never: true, reason: "it cannot be looked for: " + err.Error()}, nil
		case err != nil:
			wait = failing.NextBackOff()
			if busy, ok := errors.AsType[*connectors.Busy](err); ok {
				wait = max(wait, busy.After)
			}
			o.o.Log.Warn("an action whose fate is unclear cannot be looked for now", "action", j.Action.Type, "id", j.Action.ID,
				"conversation", j.Action.Conversation, "error", err, "again_in", wait.Round(time.Millisecond))
		case v.done, settled && (closed || v.never):
			return v, nil
		default:
			failing.Reset()
			if !v.never {
				o.closeSocket(ctx, f.socket)
			}
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case h := <-f.echo.echo:
			f.heard = &h
		case <-ctx.Done():
		}
		pause.Stop()
		if f.heard != nil {
			return verdict{}, nil
		}
	}
}

// nextStep is how long it is to the next look at what was sent at that time.
func (o *Outbox) nextStep(began time.Time) time.Duration {
	for _, part := range steps {
		at := began.Add(time.Duration(part * float64(o.o.Settle)))
		if wait := time.Until(at); wait > 0 {
			return wait
		}
	}
	return o.o.Settle / 15
}

// ask looks once.
func (o *Outbox) ask(ctx context.Context, j *job) (verdict, error) {
	x := j.flight.echo
	if x.After == 0 {
		// Its messages are told from those of actions before it by what those
		// were confirmed by.
		if err := o.remember(ctx, x.Since.Add(-overlap-ledgerSlack)); err != nil {
			return verdict{}, err
		}
	}
	detail, err := o.o.Backend.Conversation(ctx, j.Action.Conversation)
	if errors.Is(err, connectors.ErrNotFound) {
		return verdict{never: true, reason: "the backend has no such conversation"}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	if j.Action.Type == event.UpdateStatus {
		return compareStatus(x, detail.Conversation), nil
	}
	id, found := o.echoes.find(x, detail.Messages, skew(detail.Date))
	return verdict{done: found, event: id, reason: fmt.Sprintf("after %s it was not among the conversation's messages", o.o.Settle)}, nil
}

// skew is the backend's clock less ours; 0 where it did not tell.
func skew(date time.Time) time.Duration {
	if date.IsZero() {
		return 0
	}
	return time.Until(date)
}

// compareStatus compares the status of a conversation with what was asked for.
func compareStatus(x *expectation, f connectors.Frame) verdict {
	var asked event.UpdateStatusBody
	c, ok := conversation(event.Event{Type: event.ConversationUpdated, Data: f.Data})
	if !ok || x.action.DecodeBody(&asked) != nil {
		return verdict{reason: "the status of its conversation cannot be read"}
	}
	switch {
	case c.Status == asked.Status:
		return verdict{done: true}
	case x.Status != nil && *x.Status == c.Status:
		return verdict{again: true, reason: fmt.Sprintf("the conversation is %s, as before", c.Status)}
	default:
		return verdict{reason: fmt.Sprintf("the conversation is %s: it may have been done, and changed by somebody else since", c.Status)}
	}
}

// closeTimeout bounds how long the link may take to close a connection.
const closeTimeout = 10 * time.Second

// closeSocket has the connection of that number closed, if it is not: what was
// written to it must not arrive after we looked. However many actions ask for
// it, connections are ended that often only that others can be used between.
// Where it cannot be done, whoever looks will see that.
func (o *Outbox) closeSocket(ctx context.Context, socket int) {
	ctx, cancel := context.WithTimeout(ctx, o.o.Settle/3+closeTimeout)
	defer cancel()
	select {
	case o.closing <- struct{}{}:
		defer func() { <-o.closing }()
	case <-ctx.Done():
		return
	}
	if o.closed(socket) {
		return
	}
	select {
	case <-time.After(time.Until(o.closedAt.Add(o.o.Settle / 3))):
	case <-ctx.Done():
		return
	}
	if o.closed(socket) {
		return
	}
	o.closedAt = time.Now()
	o.o.Log.Warn("the connection is made anew: what was sent over it was not echoed, and must not arrive late")
	if err := o.o.Link.Reconnect(ctx); err != nil {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !o.closed(socket) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
