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
// its result is. The same id is done once in 24 h, also over restarts; with
// another payload it is refused. It is not done twice: before it is sent, the
// ledger says so, and an action whose fate is unclear (the bridge ended, the line
// was cut, no echo came) is looked for by REST, with its socket closed, until the
// settling time is over. Found, it is confirmed; else the policy decides: to
// fail, or to send it again. A mark_as_read is sent again in any case, an
// update_status where the status is as it was. Actions of a conversation are sent
// in the order in which they were accepted, one unconfirmed at a time;
// conversations do not wait for each other, nor do senders.
//
// Where REST does not show client_ref, a message of the same text by the same
// user, newer than what was known before, counts as ours.
//
// Every accepted action ends as one of the events action.confirmed,
// action.failed and action.expired. A failed one is a dead letter as well, unless
// the operator cancelled it.
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
	"sync"
	"sync/atomic"
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
	// ErrKeyReused: the sender gave its id to another action before. It matches
	// [event.ErrInvalidAction]: to try again is no use.
	ErrKeyReused = fmt.Errorf("%w: id used before", event.ErrInvalidAction)
	// ErrFull: too much is accepted and not finished; see [Limits].
	ErrFull = errors.New("too many actions wait")
)

// What the errors are as HTTP codes.
const (
	statusInvalid     = http.StatusBadRequest
	statusUnknown     = http.StatusNotFound
	statusKeyReused   = http.StatusConflict
	statusFull        = http.StatusTooManyRequests
	statusUnavailable = http.StatusServiceUnavailable
)

// NATS is the sender of what comes over NATS without a name.
const NATS = "nats"

// Door is where every action comes in. It is safe for concurrent use.
type Door struct {
	bus      *bus.Bus
	accounts map[string]*Outbox
	log      *slog.Logger

	loading sync.Mutex
	loaded  atomic.Bool
}

// NewDoor returns the door to the given accounts' outboxes.
func NewDoor(b *bus.Bus, accounts map[string]*Outbox, log *slog.Logger) *Door {
	return &Door{bus: b, accounts: accounts, log: log}
}

// Run reads what was accepted before, and then answers the actions that come
// over NATS until ctx ends.
func (d *Door) Run(ctx context.Context) error {
	for d.load(ctx) != nil {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	stop, err := d.bus.ServeActions(func(r *bus.ActionRequest) {
		if r.Err != nil {
			d.answer(r, bus.Answer{Err: fmt.Errorf("%w: %w", event.ErrInvalidAction, r.Err), Code: statusInvalid})
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
	if !a.Type.Live() {
		if err := d.load(ctx); err != nil {
			return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	answer := make(chan bus.Answer, 1)
	d.take(sender, a, func(a bus.Answer) { answer <- a })
	select {
	case a := <-answer:
		return a.Duplicate, a.Err
	case <-ctx.Done():
		return false, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// load reads the keys of what was accepted before, once: nothing is accepted
// before they are known.
func (d *Door) load(ctx context.Context) error {
	if d.loaded.Load() {
		return nil
	}
	d.loading.Lock()
	defer d.loading.Unlock()
	if d.loaded.Load() {
		return nil
	}
	for k, err := range d.bus.Keys(ctx) {
		if err != nil {
			d.log.Warn("nothing is accepted yet: what was accepted before cannot be read", "error", err)
			return fmt.Errorf("read what was accepted before: %w", err)
		}
		if o := d.accounts[k.Account]; o != nil {
			o.keys.restore(k)
		}
	}
	d.loaded.Store(true)
	return nil
}

// take checks an action and passes it on, in the order of the calls.
func (d *Door) take(sender string, a event.Action, answer func(bus.Answer)) {
	if err := a.Check(); err != nil {
		answer(bus.Answer{Err: err, Code: statusInvalid})
		return
	}
	o := d.accounts[a.Account]
	if o == nil {
		answer(bus.Answer{Code: statusUnknown, Err: d.unknown(a.Account)})
		return
	}
	if a.Type.Live() {
		o.typing.take(sender, a, func(err error) {
			if err != nil {
				answer(bus.Answer{Code: statusUnavailable, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)})
				return
			}
			answer(bus.Answer{})
		})
		return
	}
	payload := hashOf(a)
	if !o.keys.begin(sender, a, payload, func(a bus.Answer) { o.count(a); answer(a) }) {
		return
	}
	span := o.traceQueued(&a, sender)
	d.bus.Enqueue(sender, a, payload.String(), func(sequence uint64, duplicate bool, err error) {
		defer endQueued(span, duplicate, err)
		asked := o.keys.end(sender, a.ID, sequence, err, errors.Is(err, bus.ErrUnclear))
		is := bus.Answer{Sequence: sequence, Duplicate: duplicate}
		if err != nil {
			is = bus.Answer{Code: statusUnavailable, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
		}
		o.count(is)
		answer(is)
		is.Duplicate = err == nil
		for _, answer := range asked {
			answer(is)
		}
	})
}

func (o *Outbox) count(a bus.Answer) {
	switch {
	case a.Err != nil:
		o.counts.refused.Add(1)
	case a.Duplicate:
		o.counts.duplicates.Add(1)
	default:
		o.counts.accepted.Add(1)
	}
}

// expired says that there is no time left to do it in.
func expired(a event.Action) error {
	if !a.Expires.IsZero() && a.Expires.Before(time.Now()) {
		return fmt.Errorf("%w: it has expired already", event.ErrInvalidAction)
	}
	return nil
}

func (d *Door) unknown(account string) error {
	return fmt.Errorf("%w %q: this bridge has %s", ErrUnknownAccount, account, strings.Join(d.names(), ", "))
}

func (d *Door) names() []string {
	names := make([]string, 0, len(d.accounts))
	for name := range d.accounts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
