package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// conversation is a Conversation as the backend keeps and shows it. What its
// pointers and slices lead to is never written again, so that a copy of the
// struct may be read without a lock.
type conversation struct {
	ID             int64          `json:"id"`
	Status         event.Status   `json:"status"`
	Priority       event.Priority `json:"priority"`
	AssigneeID     *int64         `json:"assignee_id"`
	InboxID        int64          `json:"inbox_id"`
	TeamID         *int64         `json:"team_id"`
	Contact        contact        `json:"contact"`
	LastMessage    *lastMessage   `json:"last_message"`
	UnreadCount    int            `json:"unread_count"`
	CreatedAt      stamp          `json:"created_at"`
	LastActivityAt stamp          `json:"last_activity_at"`
	SnoozedUntil   *stamp         `json:"snoozed_until"`
	Labels         []string       `json:"cached_label_list"`
	Channel        string         `json:"channel"`
	ClientRef      string         `json:"client_ref,omitempty"`
}

type contact struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	Email       string  `json:"email"`
	PhoneNumber *string `json:"phone_number"`
	AvatarURL   *string `json:"avatar_url"`
	ContactType string  `json:"contact_type"`
}

type lastMessage struct {
	ID          int64             `json:"id"`
	Content     string            `json:"content"`
	MessageType event.MessageType `json:"message_type"`
	CreatedAt   stamp             `json:"created_at"`
	SenderType  string            `json:"sender_type"`
	SenderID    int64             `json:"sender_id"`
}

type message struct {
	ID                int64             `json:"id"`
	Content           string            `json:"content"`
	MessageType       event.MessageType `json:"message_type"`
	ConversationID    int64             `json:"conversation_id"`
	SenderType        string            `json:"sender_type"`
	SenderID          int64             `json:"sender_id"`
	CreatedAt         stamp             `json:"created_at"`
	UpdatedAt         stamp             `json:"updated_at"`
	Status            string            `json:"status"`
	Private           bool              `json:"private"`
	ContentAttributes struct{}          `json:"content_attributes"`
	ClientRef         string            `json:"client_ref,omitempty"`
}

type typing struct {
	ConversationID int64  `json:"conversation_id"`
	UserID         int64  `json:"user_id"`
	UserName       string `json:"user_name"`
	IsTyping       bool   `json:"is_typing"`
	ClientRef      string `json:"client_ref,omitempty"`
}

// contactTypes is what typing.start and typing.stop say of a customer.
func contactTypes(conversation int64, c contact, isTyping bool) typing {
	return typing{ConversationID: conversation, UserID: c.ID, UserName: c.Name, IsTyping: isTyping}
}

// stamp is a time as Django REST shows it: UTC, with microseconds.
type stamp struct{ time.Time }

func (s stamp) MarshalJSON() ([]byte, error) {
	return s.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000000Z"`), nil
}

// frame is one event as it goes over a socket.
func frame(kind event.Type, data any) []byte {
	return spell(encode(struct {
		Type event.Type `json:"type"`
		Data any        `json:"data"`
	}{kind, data}))
}

// encode writes v as Django REST does: compact, nothing escaped for HTML. It
// panics on what JSON cannot hold; none of our shapes is such.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("simulator: encode %T: %v", v, err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// spell rewrites compact JSON as Python's json.dumps does by default, which is
// how Channels sends it.
func spell(compact []byte) []byte {
	out := make([]byte, 0, len(compact)+len(compact)/8)
	quoted, escaped := false, false
	for i := 0; i < len(compact); {
		c := compact[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(compact[i:])
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
			i += size
			continue
		}
		out = append(out, c)
		i++
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}
