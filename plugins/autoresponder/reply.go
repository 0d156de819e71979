package autoresponder

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// reply is the text of a reply.
type reply struct{ template *template.Template }

// messageData is what a template has for message.new and message.updated.
// Their data names no contact, and of the conversation its id alone.
type messageData struct {
	Account      string
	Message      event.Message
	Conversation struct{ ID int64 }
}

// conversationData is what a template has for conversation.new.
type conversationData struct {
	Account      string
	Message      event.Message
	Conversation event.Conversation
	Contact      event.Contact
}

func newMessageData(account string, m event.Message) messageData {
	d := messageData{Account: account, Message: m}
	d.Conversation.ID = m.ConversationID
	return d
}

func newConversationData(account string, c event.Conversation, m event.Message) conversationData {
	return conversationData{Account: account, Message: m, Conversation: c, Contact: c.Contact}
}

const available = "there are .Account, .Message and .Conversation.ID; for conversation.new also .Contact and the rest of .Conversation"

// parseReply parses a template and tries it with an example of each event that
// it is for.
func parseReply(text string, events []event.Type) (*reply, error) {
	t, err := template.New("reply").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not a template (https://pkg.go.dev/text/template): %w", err)
	}
	r := &reply{t}
	for _, e := range events {
		if _, err := r.text(example(e)); err != nil {
			return nil, fmt.Errorf("cannot be made for %s: %w; %s", e, err, available)
		}
	}
	return r, nil
}

// text is the reply to one message.
func (r *reply) text(data any) (string, error) {
	var b strings.Builder
	if err := r.template.Execute(&b, data); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// example has something in every field, so that a template that looks into one
// that is often empty is not refused.
func example(t event.Type) any {
	id := int64(1)
	m := event.Message{
		ID: 1, Content: "Hello", ConversationID: 1, SenderType: event.SenderContact, SenderID: &id, Status: "sent",
	}
	if t != event.ConversationNew {
		return newMessageData("1", m)
	}
	contact := event.Contact{ID: 1, Name: "Ada", Email: "ada@example.com", PhoneNumber: "+44 20 7946 0000", AvatarURL: "https://example.com/ada"}
	return newConversationData("1", event.Conversation{
		ID: 1, AssigneeID: &id, TeamID: &id, Contact: contact, LastMessage: &event.LastMessage{ID: 1, Content: m.Content},
		SnoozedUntil: &m.CreatedAt, Labels: []string{"new"},
	}, m)
}
