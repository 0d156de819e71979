package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Delivery is one event on its way through a handler, and what the handler can
// do about it. It is safe for concurrent use, and of no use once the handler
// has returned.
type Delivery struct {
	// Event is the envelope with the data as the backend sent it.
	Event event.Event
	// Feed names the feed that it came by.
	Feed string
	// Attempt is 1 the first time that this process of the host delivers it.
	Attempt int
	// Log has the event's id, type and conversation in each record.
	Log *slog.Logger

	host    *Host
	actions atomic.Uint64
}

// Reply sends a message to the event's conversation. It returns when the
// message is in the outbound queue, on disk; what becomes of it is told by the
// events action.confirmed and action.failed.
func (d *Delivery) Reply(ctx context.Context, text string) error {
	return d.send(ctx, event.SendMessage, event.SendMessageBody{Content: text})
}

// SetStatus sets the status of the event's conversation.
func (d *Delivery) SetStatus(ctx context.Context, s event.Status) error {
	return d.send(ctx, event.UpdateStatus, event.UpdateStatusBody{Status: s})
}

// MarkRead marks the event's conversation as read.
func (d *Delivery) MarkRead(ctx context.Context) error {
	return d.send(ctx, event.MarkAsRead, nil)
}

// Typing shows the customer that an answer is being written, until fn returns,
// however it does.
func (d *Delivery) Typing(ctx context.Context, fn func(context.Context) error) error {
	if err := d.send(ctx, event.StartTyping, nil); err != nil {
		return err
	}
	defer func() {
		if err := d.send(context.WithoutCancel(ctx), event.StopTyping, nil); err != nil {
			d.Log.Warn("typing could not be stopped; the bridge stops it after 3 s", "error", err)
		}
	}()
	return fn(ctx)
}

// Do puts any action into the outbound queue. An empty ID, Account or
// Conversation is filled in: the event's, and an id that is the same when the
// handler runs again and takes the same actions in the same order.
func (d *Delivery) Do(ctx context.Context, a event.Action) error {
	// Typing has no id, and does not count: whether it could be sent must not
	// change the ids of what follows.
	if a.ID == "" && !a.Type.Live() {
		a.ID = fmt.Sprintf("%s/%s/%d", d.Event.ID, d.Feed, d.actions.Add(1))
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
	_, err := d.host.Do(ctx, a)
	return err
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
	return d.Do(ctx, a)
}

// handle calls the handler for the event.
func (h *Handlers) handle(ctx context.Context, d *Delivery) error {
	switch e := d.Event; {
	case e.Type == event.ConversationNew && h.OnConversationNew != nil:
		return with(ctx, d, h.OnConversationNew)
	case e.Type == event.ConversationUpdated && h.OnConversationUpdated != nil:
		return with(ctx, d, h.OnConversationUpdated)
	case e.Type == event.MessageNew && h.OnMessageNew != nil:
		return with(ctx, d, h.OnMessageNew)
	case e.Type == event.MessageUpdated && h.OnMessageUpdated != nil:
		return with(ctx, d, h.OnMessageUpdated)
	case event.Pattern("action.*").Matches(e.Type) && h.OnActionResult != nil:
		return with(ctx, d, h.OnActionResult)
	case h.OnEvent != nil:
		return h.OnEvent(ctx, d)
	}
	return nil
}

// with decodes the event for its handler. Data that does not decode will not
// do so the next time: the event is rejected.
func with[T any](ctx context.Context, d *Delivery, fn func(context.Context, *Delivery, T) error) error {
	v, err := d.Event.Decode()
	if err != nil {
		return Reject(err)
	}
	t, ok := v.(T)
	if !ok {
		return Reject(fmt.Errorf("event %s of type %q decodes to %T", d.Event.ID, d.Event.Type, v))
	}
	return fn(ctx, d, t)
}
