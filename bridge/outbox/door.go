// Package outbox takes actions, keeps them until they are done, and says what
// became of them.
//
//	sender ─▶ Door: checked ─▶ queue, on disk = accepted
//	queue ─▶ lane of the conversation ─▶ ledger "sending" ─▶ link ─▶ backend
//	backend ─▶ echo ─▶ Claim: confirmed ─▶ ledger, event, out of the queue
//
// # What it promises
//
// An accepted action is not lost: it is on disk and stays in the queue until
// its result is. It is not done twice: before it is sent, the ledger says so,
// and an action that was being sent when the bridge ended is not sent again but
// ends as failed, with "unclear" as its reason. Actions of a conversation are
// sent in the order in which they were accepted, one unconfirmed at a time;
// conversations do not wait for each other.
//
// Every accepted action ends as one of the events action.confirmed,
// action.failed and action.expired. A failed one is a dead letter as well.
//
// Typing goes beside all that: sent at once or not at all, not stored, without
// results, and stopped three seconds after it was last started.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Errors of the door, beside those that match [event.ErrInvalidAction].
var (
	// ErrUnknownAccount: the bridge has no such account.
	ErrUnknownAccount = errors.New("unknown account")
	// ErrUnavailable: it cannot be accepted now; the same may be later.
	ErrUnavailable = errors.New("cannot be accepted now")
)

// NATS is the sender of what comes over NATS without a name.
const NATS = "nats"

// Door is where every action comes in. It is safe for concurrent use.
type Door struct {
	bus      *bus.Bus
	accounts map[string]*Outbox
	log      *slog.Logger
}

// NewDoor returns the door to the given accounts' outboxes.
func NewDoor(b *bus.Bus, accounts map[string]*Outbox, log *slog.Logger) *Door {
	return &Door{b, accounts, log}
}

// Run answers the actions that come over NATS until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	stop, err := d.bus.ServeActions(func(r *bus.ActionRequest) {
		if r.Err != nil {
			d.answer(r, bus.Answer{Err: fmt.Errorf("%w: %w", event.ErrInvalidAction, r.Err), Code: http.StatusBadRequest})
			return
		}
		d.take(NATS, r.Action, func(a bus.Answer) { d.answer(r, a) })
	})
	if err != nil {
		return err
	}
	defer stop()
	<-ctx.Done()
	return context.Cause(ctx)
}

func (d *Door) answer(r *bus.ActionRequest, a bus.Answer) {
	if a.Err != nil {
		d.log.Info("action refused", "action", r.Action.Type, "account", r.Action.Account,
			"conversation", r.Action.Conversation, "error", a.Err)
	}
	if err := r.Answer(a); err != nil {
		d.log.Warn("a sender could not be answered", "error", err)
	}
}

// Act takes one action of a sender and returns when it is accepted, on disk;
// typing, when it was sent. duplicate says that the sender's id had been
// accepted before.
func (d *Door) Act(ctx context.Context, sender string, a event.Action) (duplicate bool, err error) {
	answer := make(chan bus.Answer, 1)
	d.take(sender, a, func(a bus.Answer) { answer <- a })
	select {
	case a := <-answer:
		return a.Duplicate, a.Err
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// take checks an action and passes it on, in the order of the calls.
func (d *Door) take(sender string, a event.Action, answer func(bus.Answer)) {
	if err := a.Check(); err != nil {
		answer(bus.Answer{Err: err, Code: http.StatusBadRequest})
		return
	}
	o := d.accounts[a.Account]
	if o == nil {
		answer(bus.Answer{Code: http.StatusNotFound, Err: fmt.Errorf("%w %q: this bridge has %s",
			ErrUnknownAccount, a.Account, strings.Join(d.names(), ", "))})
		return
	}
	if a.Type.Live() {
		o.typing.take(a, func(err error) {
			if err != nil {
				answer(bus.Answer{Code: http.StatusServiceUnavailable, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)})
				return
			}
			answer(bus.Answer{})
		})
		return
	}
	if !a.Expires.IsZero() && a.Expires.Before(time.Now()) {
		answer(bus.Answer{Code: http.StatusBadRequest, Err: fmt.Errorf("%w: it has expired already", event.ErrInvalidAction)})
		return
	}
	span := o.traceQueued(&a, sender)
	d.bus.Enqueue(sender, a, "", func(sequence uint64, duplicate bool, err error) {
		defer endQueued(span, duplicate, err)
		switch {
		case err != nil:
			o.counts.refused.Add(1)
			answer(bus.Answer{Code: http.StatusServiceUnavailable, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)})
			return
		case duplicate:
			o.counts.duplicates.Add(1)
		default:
			o.counts.accepted.Add(1)
		}
		answer(bus.Answer{Sequence: sequence, Duplicate: duplicate})
	})
}

func (d *Door) names() []string {
	names := make([]string, 0, len(d.accounts))
	for name := range d.accounts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
