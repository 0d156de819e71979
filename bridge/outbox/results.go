package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ErrUnknownAction: the sender had no action of that id accepted in the last
// 24 h.
var ErrUnknownAction = errors.New("no such action")

// Wait blocks until it is known what became of an action of the sender, also
// of one that ended before the bridge began, or ctx ends. It returns the event
// that tells it: action.confirmed, action.failed or action.expired, and its
// data. Typing has no result.
func (d *Door) Wait(ctx context.Context, sender, account, id string) (event.Type, []byte, error) {
	o := d.accounts[account]
	if o == nil {
		return "", nil, d.unknown(account)
	}
	if err := d.load(ctx); err != nil {
		return "", nil, err
	}
	ended, forget := o.waiters.wait(sender, id)
	defer forget()
	// The ledger first has the end, then those who wait: none is missed.
	data, err := o.o.Bus.ReadLedger(ctx, account, sender, id)
	if err != nil {
		return "", nil, err
	}
	var said entry
	if data != nil {
		if err := json.Unmarshal(data, &said); err != nil {
			return "", nil, fmt.Errorf("read the ledger's entry of %s/%s: %w", sender, id, err)
		}
	}
	if !said.ended() {
		known := data != nil || o.keys.unfinished(sender, id)
		if said, err = next(ctx, ended, known); err != nil {
			return "", nil, fmt.Errorf("action %q of sender %q on account %s: %w", id, sender, account, err)
		}
	}
	result, err := json.Marshal(said.result(account, sender, id))
	if err != nil {
		return "", nil, fmt.Errorf("tell what became of %s/%s: %w", sender, id, err)
	}
	return event.Type(said.State), result, nil
}

// next is the end of an action, when it comes; one that is not known has ended
// just now, or never was.
func next(ctx context.Context, ended <-chan entry, known bool) (entry, error) {
	select {
	case end := <-ended:
		return end, nil
	default:
	}
	if !known {
		return entry{}, ErrUnknownAction
	}
	select {
	case end := <-ended:
		return end, nil
	case <-ctx.Done():
		return entry{}, fmt.Errorf("what becomes of it is not known yet: %w", context.Cause(ctx))
	}
}

// ended reports whether the action has its end.
func (e entry) ended() bool {
	switch event.Type(e.State) {
	case event.ActionConfirmed, event.ActionFailed, event.ActionExpired:
		return true
	}
	return false
}

// result is the data of the event that tells an action's end.
func (e entry) result(account, sender, id string) event.ActionResult {
	return event.ActionResult{
		ID: id, Type: e.Type, Account: account, Conversation: e.Conversation,
		By: sender, Reason: e.Reason, Attempts: e.Attempts, Event: e.Event,
	}
}

// waiters wait for the ends of actions.
type waiters struct {
	mu    sync.Mutex
	byKey map[digest]map[chan entry]struct{}
}

// wait returns a channel that gets the end of an action, when it has one, and
// what to call when nobody waits any more.
func (w *waiters) wait(sender, id string) (ended <-chan entry, forget func()) {
	mine, key := make(chan entry, 1), keyOf(sender, id)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = map[digest]map[chan entry]struct{}{}
	}
	if w.byKey[key] == nil {
		w.byKey[key] = map[chan entry]struct{}{}
	}
	w.byKey[key][mine] = struct{}{}
	return mine, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.byKey[key], mine); len(w.byKey[key]) == 0 {
			delete(w.byKey, key)
		}
	}
}

// tell gives those who wait for it the end of an action.
func (w *waiters) tell(sender, id string, end entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byKey) == 0 {
		return
	}
	for mine := range w.byKey[keyOf(sender, id)] {
		select {
		case mine <- end:
		default: // it has one
		}
	}
}
