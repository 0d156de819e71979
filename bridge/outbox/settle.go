package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Unclear says what to do with an action of which nobody can tell whether it
// was done.
type Unclear string

// The policies.
const (
	// Fail ends it as failed, with a reason that begins with "unclear".
	Fail Unclear = "fail"
	// Resend sends it again.
	Resend Unclear = "resend"
)

// flight is an action's way to the backend from when it was written, or may
// have been.
type flight struct {
	// began is when it was written; for one that an earlier process wrote,
	// which took its socket along, when this one began.
	began time.Time
	// socket is the number of the link's connection that it went out on, or of
	// a later one; 0: that of an earlier process.
	socket int
	// echo is what waits for its echo; nil: nothing does yet.
	echo *expectation
	// reads are the actions that it covers.
	reads []*job
	// why it is unclear what became of it; empty: it is not yet.
	why string
	// heard is what the backend said of it, when it did.
	heard *outcome
}

// settle finds out what became of an action in flight. Afterwards it has an
// end, or is in flight no more and is sent again.
func (o *Outbox) settle(ctx, work context.Context, j *job) error {
	f := j.flight
	if f.echo == nil {
		f.echo = o.echoes.expect(j.Action, j.Sender, j.Sender+"/"+j.Action.ID, j.firstSent(), 0)
	}
	if f.why == "" {
		if o.o.NoEcho {
			o.confirm(j, "", "written; this backend echoes nothing")
			return nil
		}
		if err := o.await(work, j); err != nil {
			return err
		}
	}
	if f.heard == nil && f.why != "" {
		if err := o.clear(ctx, work, j); err != nil {
			return err
		}
	}
	if f.heard != nil {
		o.hear(j)
	}
	if j.end != "" || j.flight == nil {
		o.echoes.forget(j.Action.Conversation)
	}
	return nil
}

// firstSent is what was known before the action was first sent. A ledger of an
// older version does not tell: then it was not long before.
func (j *job) firstSent() *baseline {
	if j.entry.Baseline != nil {
		return j.entry.Baseline
	}
	return &baseline{Since: j.Accepted}
}

// hear ends an action by what the backend said of it.
func (o *Outbox) hear(j *job) {
	if h := j.flight.heard; h.refused != "" {
		j.end, j.entry.Reason = event.ActionFailed, "refused by the backend: "+h.refused
	} else {
		o.confirm(j, h.event, "")
	}
}

// confirm ends an action, and those that it covers.
func (o *Outbox) confirm(j *job, id, reason string) {
	j.end, j.entry.Event, j.entry.Reason = event.ActionConfirmed, id, reason
	o.cover(j.flight.reads, id, reason)
}

// await waits for the echo of an action that was written, or for a sign that
// none will come.
func (o *Outbox) await(work context.Context, j *job) error {
	f := j.flight
	timeout := time.NewTimer(time.Until(f.began.Add(o.o.Confirm)))
	defer timeout.Stop()
	line := time.NewTicker(o.o.Confirm / 30)
	defer line.Stop()
	for {
		select {
		case h := <-f.echo.echo:
			f.heard = &h
			return nil
		case <-timeout.C:
			f.why = fmt.Sprintf("unclear: sent, but the backend did not echo it within %s", o.o.Confirm)
			if complaint := o.echoes.complaint(); complaint != "" {
				f.why += "; meanwhile it complained: " + complaint
			}
			return nil
		case <-line.C:
			// What the socket did not tell, it will not tell any more.
			if o.o.Backend != nil && o.closed(f.socket) {
				f.why = "unclear: the connection ended before the backend echoed it"
				return nil
			}
		case <-work.Done():
			return context.Cause(work)
		}
	}
}

// closed reports whether the connection of that number, and all before it, are
// closed.
func (o *Outbox) closed(socket int) bool {
	s := o.o.Link.Status()
	return s.Connections > socket || s.State != link.Connected
}

// clear decides what becomes of an action that nobody knows to be done.
func (o *Outbox) clear(ctx, work context.Context, j *job) error {
	f := j.flight
	switch {
	case j.Action.Type == event.MarkAsRead: // done twice is done once
		o.again(j)
		return nil
	case !lookBeforeResend:
		o.again(j)
		return nil
	case o.o.Backend == nil:
		return o.blind(work, j)
	}
	v, err := o.look(ctx, j)
	switch {
	case err != nil:
		return err
	case f.heard != nil:
	case v.done:
		o.confirm(j, v.event, "")
	case v.again, o.o.Unclear == Resend && !v.never:
		o.again(j)
	default:
		j.end, j.entry.Reason = event.ActionFailed, f.why+"; "+v.reason
	}
	return nil
}

// blind ends an action that cannot be looked for: it is not sent again, since
// it may have been done. What the backend said before a cut is still read.
func (o *Outbox) blind(work context.Context, j *job) error {
	f := j.flight
	j.entry.Reason = f.why
	if f.socket == 0 {
		j.entry.Reason += "; it is not sent again, since it may have been done"
	} else if rest := time.Until(f.began.Add(o.o.Confirm)); rest > 0 {
		timeout := time.NewTimer(rest)
		defer timeout.Stop()
		select {
		case h := <-f.echo.echo:
			f.heard, j.entry.Reason = &h, ""
			return nil
		case <-timeout.C:
			j.entry.Reason += fmt.Sprintf(", and no echo of it came within %s", o.o.Confirm)
		case <-work.Done():
			return context.Cause(work)
		}
	}
	j.end = event.ActionFailed
	return nil
}

// again lets an action be sent once more, if it has an attempt left.
func (o *Outbox) again(j *job) {
	why := j.flight.why
	if o.exhausted(j, why) {
		return
	}
	o.o.Log.Warn("action is sent again", "action", j.Action.Type, "id", j.Action.ID, "conversation", j.Action.Conversation, "reason", why)
	j.flight = nil
}
