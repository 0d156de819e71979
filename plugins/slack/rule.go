package slack

import (
	"context"
	"errors"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// rule posts the events of one feed. It is safe for concurrent use.
type rule struct {
	channel string
	events  []event.Pattern
	poster  poster
	gate    *gate
	threads *threads
}

func (r *rule) handlers() sdk.Handlers {
	return sdk.Handlers{
		OnConversationNew: func(ctx context.Context, d *sdk.Delivery, c event.Conversation) error {
			return r.post(ctx, d.Event, func(t *thread) string {
				return conversationNew(t, c, !covers(r.events, event.MessageNew))
			})
		},
		OnConversationUpdated: func(ctx context.Context, d *sdk.Delivery, c event.Conversation) error {
			return r.post(ctx, d.Event, func(t *thread) string { return conversationUpdated(t, c, d.Event.By) })
		},
		OnMessageNew: func(ctx context.Context, d *sdk.Delivery, m event.Message) error {
			return r.post(ctx, d.Event, func(t *thread) string { return messageNew(t, m, d.Event.By) })
		},
		OnMessageUpdated: func(ctx context.Context, d *sdk.Delivery, m event.Message) error {
			return r.post(ctx, d.Event, func(t *thread) string { return messageUpdated(t, m, d.Event.By) })
		},
		OnActionResult: func(ctx context.Context, d *sdk.Delivery, a event.ActionResult) error {
			return r.post(ctx, d.Event, func(*thread) string { return actionResult(d.Event.Type, a) })
		},
		OnEvent: func(ctx context.Context, d *sdk.Delivery) error {
			return r.post(ctx, d.Event, func(*thread) string { return other(d.Event.Type) })
		},
	}
}

// post posts what say makes of an event to the thread of its conversation,
// once. say may note in the thread what it read; it returns "" when there is
// nothing to post.
func (r *rule) post(ctx context.Context, e event.Event, say func(*thread) string) error {
	t, err := r.threads.load(ctx, e)
	if err != nil {
		return err
	}
	if t.has(e.ID) {
		return r.threads.save(ctx, t)
	}
	text := say(t)
	if text == "" {
		return nil
	}
	text += late(e)

	var at threadRef
	err = r.gate.pass(ctx, func() error {
		at, err = r.send(ctx, e, t, text)
		if errors.Is(err, errThreadGone) {
			t.threadRef = threadRef{}
			at, err = r.send(ctx, e, t, text)
		}
		return err
	})
	if err != nil {
		return outcome(err)
	}
	t.posted(e.ID, at)
	return r.threads.save(ctx, t)
}

// send posts to the thread, or starts one with a line that says whose it is.
func (r *rule) send(ctx context.Context, e event.Event, t *thread, text string) (threadRef, error) {
	if t.TS == "" {
		text = title(e) + "\n" + text
	}
	return r.poster.post(ctx, r.channel, t.threadRef, text)
}
