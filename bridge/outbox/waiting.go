package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Waiting is an action that is accepted and not finished.
type Waiting struct {
	// Sequence is its place in the queue.
	Sequence     uint64           `json:"sequence"`
	Account      string           `json:"account"`
	Sender       string           `json:"sender"`
	ID           string           `json:"id"`
	Type         event.ActionType `json:"type"`
	Conversation string           `json:"conversation"`
	Accepted     time.Time        `json:"accepted"`
	// Due is the earliest time to send it; zero: at once.
	Due time.Time `json:"due,omitzero"`
	// Expires is until when it is worth sending.
	Expires time.Time `json:"expires"`
	// State is waiting, or sending from when it may have reached the backend.
	State string `json:"state"`
}

// Waiting lists what is accepted and not finished, in the order in which it was
// accepted. An empty account or sender: of all.
func (d *Door) Waiting(ctx context.Context, account, sender string) ([]Waiting, error) {
	if account != "" && d.accounts[account] == nil {
		return nil, d.unknown(account)
	}
	list := []Waiting{}
	for q, err := range d.bus.Waiting(ctx, account) {
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if sender == "" || q.Sender == sender {
			list = append(list, d.waiting(q))
		}
	}
	return list, nil
}

// WaitingAt is the action at a place in the queue. An error that matches
// [ErrNotWaiting] says that there is none.
func (d *Door) WaitingAt(ctx context.Context, sequence uint64) (Waiting, error) {
	q, err := d.bus.QueuedAt(ctx, sequence)
	if err != nil {
		return Waiting{}, fmt.Errorf("%w: %w; `switchboard queue list` shows those that there are", ErrNotWaiting, err)
	}
	return d.waiting(q), nil
}

func (d *Door) waiting(q *bus.Queued) Waiting {
	a := q.Action
	w := Waiting{
		Sequence: q.Sequence, Account: a.Account, Sender: q.Sender, ID: a.ID, Type: a.Type, Conversation: a.Conversation,
		Accepted: q.Accepted, Due: a.At, Expires: expires(&job{Queued: q}), State: "waiting",
	}
	if o := d.accounts[a.Account]; o != nil && o.isSending(q) {
		w.State = sending
	}
	return w
}

// isSending reports whether the action is under way to the backend.
func (o *Outbox) isSending(q *bus.Queued) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	lane := o.lanes[q.Action.Conversation]
	return len(lane) > 0 && lane[0].Sequence == q.Sequence && lane[0].begun
}
