package autoresponder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// stale is the age at which an event that had been missed is no longer
// answered.
const stale = 5 * time.Minute

// responder answers by its rules. It is safe for concurrent use.
type responder struct {
	rules  []*rule
	limits limits
}

// wants reports whether any rule looks at events of the type.
func (r *responder) wants(t event.Type) bool {
	return slices.ContainsFunc(r.rules, func(rule *rule) bool { return slices.Contains(rule.events, t) })
}

func (r *responder) message(ctx context.Context, d *sdk.Delivery, m event.Message) error {
	return r.respond(ctx, d, m, newMessageData(d.Event.Account, m))
}

// conversation takes a new conversation as the message that it began with.
func (r *responder) conversation(ctx context.Context, d *sdk.Delivery, c event.Conversation) error {
	last := c.LastMessage
	if last == nil {
		return nil
	}
	m := event.Message{
		ID: last.ID, Content: last.Content, MessageType: last.MessageType, ConversationID: c.ID,
		SenderType: last.SenderType, SenderID: last.SenderID, CreatedAt: last.CreatedAt,
	}
	return r.respond(ctx, d, m, newConversationData(d.Event.Account, c, m))
}

// respond answers a message; data is what a template has of it.
func (r *responder) respond(ctx context.Context, d *sdk.Delivery, m event.Message, data any) error {
	if !answers(d.Event, m) {
		return nil
	}
	i := slices.IndexFunc(r.rules, func(rule *rule) bool { return rule.meets(d.Event.Type, m.Content) })
	if i < 0 {
		return nil
	}
	rule := r.rules[i]
	text := ""
	if rule.reply != nil {
		var err error
		if text, err = rule.reply.text(data); err != nil {
			return sdk.Reject(fmt.Errorf("rule %s: make reply: %w", rule.name, err))
		}
	}
	if text == "" && rule.status == nil && !rule.markAsRead {
		return nil // the template decided to say nothing: that uses no limit
	}
	free, err := r.limits.take(ctx, rule, d.Event)
	if err != nil || !free {
		return err
	}
	if err := rule.act(ctx, d, text); err != nil {
		err = fmt.Errorf("rule %s: %w", rule.name, err)
		if errors.Is(err, sdk.ErrInvalid) || errors.Is(err, sdk.ErrNotGranted) {
			return sdk.Reject(err) // the same again cannot help
		}
		return err
	}
	return nil
}

// answers reports whether the message is one that may be answered at all: a
// customer's own, and not one that is fetched so late that nobody waits for an
// answer.
func answers(e event.Event, m event.Message) bool {
	return m.FromContact() && e.By == "" &&
		m.MessageType != event.MessageActivity && m.MessageType != event.MessageTemplate &&
		(!e.Replayed || time.Since(e.Time) <= stale)
}

// act does what the rule says. The ids of the actions are made of the event and
// their order, so this must not depend on anything else.
func (r *rule) act(ctx context.Context, d *sdk.Delivery, text string) error {
	if text != "" {
		if err := r.say(ctx, d, text); err != nil {
			return err
		}
	}
	if r.status != nil {
		if err := d.SetStatus(ctx, *r.status); err != nil {
			return err
		}
	}
	if r.markAsRead {
		return d.MarkRead(ctx)
	}
	return nil
}

// say replies, with typing beside it where that is wanted and possible.
func (r *rule) say(ctx context.Context, d *sdk.Delivery, text string) error {
	reply := func(ctx context.Context) error { return d.Reply(ctx, text) }
	if !r.typing {
		return reply(ctx)
	}
	return d.Typing(ctx, reply)
}
