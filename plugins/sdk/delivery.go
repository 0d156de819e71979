package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Delivery is one event, or one timer, on its way through a handler, and what
// the handler can do about it. It is safe for concurrent use, and of no use
// once the handler has returned.
type Delivery struct {
	// Event is the envelope with the data as the backend sent it; zero for a
	// timer.
	Event event.Event
	// Timer is the timer that has come due; nil for an event.
	Timer *Timer
	// Feed names the feed that it came by; empty for a timer.
	Feed string
	// Attempt is 1 the first time that this process of the host delivers it.
	Attempt int
	// Log has the event's id, type and conversation in each record.
	Log *slog.Logger
	// Host is the plugin's store, timers and counters.
	Host *Host

	key     string
	again   bool
	actions *atomic.Uint64
}

// Key is the idempotency key of the delivery, for a receiver that keeps such:
// the event's id, the same in every attempt, and a fresh one where
// [Delivery.Again].
func (d *Delivery) Key() string { return d.key }

// Again reports that an operator had the event delivered once more by hand,
// though it had its outcome.
func (d *Delivery) Again() bool { return d.again }

// For is the delivery with another conversation for its actions and look-ups,
// as a timer needs that was set for one. The ids of its actions are counted on.
func (d *Delivery) For(account, conversation string) *Delivery {
	other := *d
	other.Event.Account, other.Event.Conversation = account, conversation
	return &other
}

// Reply sends a message to the event's conversation. It returns when the
// message is in the outbound queue, on disk. To know what became of it, use Do
// and [Accepted.Wait], or handle action.confirmed and action.failed.
func (d *Delivery) Reply(ctx context.Context, text string) error {
	return d.send(ctx, event.SendMessage, event.SendMessageBody{Content: text})
}

// SetStatus sets the status of the event's conversation.
func (d *Delivery) SetStatus(ctx context.Context, s event.Status) error {
	return d.send(ctx, event.UpdateStatus, event.UpdateStatusBody{Status: s})
}

// Resolve sets the status of the event's conversation to resolved.
func (d *Delivery) Resolve(ctx context.Context) error { return d.SetStatus(ctx, event.StatusResolved) }

// MarkRead marks the event's conversation as read.
func (d *Delivery) MarkRead(ctx context.Context) error {
	return d.send(ctx, event.MarkAsRead, nil)
}

// Do puts any action into the outbound queue and returns when it is there, on
// disk. An empty ID, Account or Conversation is filled in: the event's, and an
// id that is the same when the handler runs again and takes the same actions in
// the same order. A handler that takes them in no certain order, as from
// several goroutines, gives each an ID of its own.
func (d *Delivery) Do(ctx context.Context, a event.Action) (*Accepted, error) {
	// Typing has no id, and does not count: whether it could be sent must not
	// change the ids of what follows.
	if a.ID == "" && !a.Type.Live() {
		a.ID = d.actionID(d.actions.Add(1))
	}
	if a.TraceParent == "" {
		a.TraceParent, a.TraceState = d.Event.TraceParent, d.Event.TraceState
	}
	if a.Account == "" {
		a.Account = d.Event.Account
	}
	if a.Conversation == "" {
		a.Conversation = d.Event.Conversation
	}
	return d.Host.Do(ctx, a)
}

// maxActionID is the longest id that the bridge takes, in bytes.
const maxActionID = 256

// actionID is made of what is the same in every attempt: neither Key nor
// Attempt.
func (d *Delivery) actionID(n uint64) string {
	of := d.Event.ID
	if d.Timer != nil {
		of = fmt.Sprintf("timer/%s/%d", d.Timer.Key, d.Timer.At.UnixNano())
	}
	id := fmt.Sprintf("%s/%s/%d", of, d.Feed, n)
	if len(id) > maxActionID {
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:])
	}
	return id
}

func (d *Delivery) send(ctx context.Context, t event.ActionType, body any) error {
	a := event.Action{Type: t}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write body of %s: %w", t, err)
		}
		a.Body = data
	}
	_, err := d.Do(ctx, a)
	return err
}

// Conversation reads the conversation and its messages at the backend, as they
// are now.
func (d *Delivery) Conversation(ctx context.Context) (*Conversation, error) {
	return d.Host.LookUp(ctx, d.Event.Account, d.Event.Conversation)
}

// Messages reads the conversation's messages at the backend, oldest first.
func (d *Delivery) Messages(ctx context.Context) ([]event.Message, error) {
	c, err := d.Conversation(ctx)
	if err != nil {
		return nil, err
	}
	return c.Messages, nil
}

// newDelivery is what the host sent, as a handler gets it.
func newDelivery(in *pluginv1.Delivery, host *Host, log *slog.Logger) *Delivery {
	d := &Delivery{
		Feed: in.GetFeed(), Attempt: int(in.GetAttempt()), Host: host,
		key: in.GetKey(), again: in.GetAgain(), actions: new(atomic.Uint64),
	}
	if t := in.GetTimer(); t != nil {
		d.Timer = &Timer{Key: t.GetKey(), At: t.GetAt().AsTime(), Data: t.GetData()}
		d.Log = log.With("timer", d.Timer.Key)
		return d
	}
	d.Event = in.GetEvent().ToEvent()
	if d.key == "" { // a host that knows of none
		d.key = d.Event.ID
	}
	d.Log = slog.New(&deliveryLog{log.Handler(), &d.Event})
	return d
}
