package main

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// narrator tells events as a story. One goroutine calls it.
type narrator struct {
	say func(string, ...any)
	// names are the customers', by conversation.
	names map[string]string
}

func newNarrator(say func(string, ...any)) *narrator {
	return &narrator{say: say, names: map[string]string{}}
}

func (n *narrator) event(e api.Event) error {
	if text := n.tell(e); text != "" {
		n.say("%s  %-20s  #%-4s  %s", e.Time.Local().Format("15:04:05"), e.Type, cmp.Or(e.Conversation, "-"), text)
	}
	return nil
}

// tell is what happened, or nothing for what is not worth a line.
func (n *narrator) tell(e api.Event) string {
	v, err := event.Event{ID: e.ID, Type: e.Type, Data: json.RawMessage(e.Data)}.Decode()
	if err != nil {
		return describe(e)
	}
	customer := cmp.Or(n.names[e.Conversation], "a customer")
	switch v := v.(type) {
	case event.Conversation:
		n.names[e.Conversation] = v.Contact.Name
		if e.Type == event.ConversationNew {
			return v.Contact.Name + " opens a conversation"
		}
		return fmt.Sprintf("%s: is %s, %d unread%s", v.Contact.Name, v.Status, v.UnreadCount, by(e))
	case event.Message:
		who := customer
		if !v.FromContact() {
			who = cmp.Or(e.By, v.SenderType) + " → " + customer
		}
		if e.Type == event.MessageUpdated {
			who += " edits"
		}
		return fmt.Sprintf("%s: %s", who, short(v.Content, 72))
	case event.Typing:
		if e.Type == event.TypingStop {
			return ""
		}
		return cmp.Or(v.UserName, customer) + " is typing"
	case event.ActionResult:
		if e.Type == event.ActionSent {
			return ""
		}
		return fmt.Sprintf("%s's %s%s", v.By, v.Type, reason(v.Reason))
	}
	return describe(e)
}

func by(e api.Event) string {
	if e.By == "" {
		return ""
	}
	return " (by " + e.By + ")"
}

func reason(s string) string {
	if s == "" {
		return ""
	}
	return ": " + short(s, 60)
}
