package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// environment is what an expression knows; see the package comment.
type environment struct {
	Type         string    `expr:"type"`
	Account      string    `expr:"account"`
	Conversation string    `expr:"conversation"`
	Replayed     bool      `expr:"replayed"`
	By           string    `expr:"by"`
	Time         time.Time `expr:"time"`
	Message      Message   `expr:"message"`
	Contact      Contact   `expr:"contact"`
	Data         Data      `expr:"data"`
	Raw          any       `expr:"raw"`
}

// The types below are exported for the sake of expr's messages alone, which
// name them: "type filter.Message has no field contnet".

// Message is an event.Message as an expression sees it.
type Message struct {
	ID             int64     `expr:"id"`
	Content        string    `expr:"content"`
	MessageType    string    `expr:"message_type"`
	ConversationID int64     `expr:"conversation_id"`
	SenderType     string    `expr:"sender_type"`
	SenderID       int64     `expr:"sender_id"`
	CreatedAt      time.Time `expr:"created_at"`
	UpdatedAt      time.Time `expr:"updated_at"`
	Status         string    `expr:"status"`
}

// Contact is an event.Contact as an expression sees it.
type Contact struct {
	ID          int64  `expr:"id"`
	Name        string `expr:"name"`
	Email       string `expr:"email"`
	PhoneNumber string `expr:"phone_number"`
	AvatarURL   string `expr:"avatar_url"`
}

// LastMessage is an event.LastMessage as an expression sees it.
type LastMessage struct {
	ID          int64     `expr:"id"`
	Content     string    `expr:"content"`
	MessageType string    `expr:"message_type"`
	CreatedAt   time.Time `expr:"created_at"`
	SenderType  string    `expr:"sender_type"`
	SenderID    int64     `expr:"sender_id"`
}

// Data has the fields of every event's data.
type Data struct {
	ID             int64       `expr:"id"`
	Status         string      `expr:"status"`
	Priority       string      `expr:"priority"`
	AssigneeID     int64       `expr:"assignee_id"`
	InboxID        int64       `expr:"inbox_id"`
	TeamID         int64       `expr:"team_id"`
	Contact        Contact     `expr:"contact"`
	LastMessage    LastMessage `expr:"last_message"`
	UnreadCount    int         `expr:"unread_count"`
	CreatedAt      time.Time   `expr:"created_at"`
	LastActivityAt time.Time   `expr:"last_activity_at"`
	SnoozedUntil   time.Time   `expr:"snoozed_until"`
	Labels         []string    `expr:"labels"`

	Content        string    `expr:"content"`
	MessageType    string    `expr:"message_type"`
	ConversationID int64     `expr:"conversation_id"`
	SenderType     string    `expr:"sender_type"`
	SenderID       int64     `expr:"sender_id"`
	UpdatedAt      time.Time `expr:"updated_at"`

	Action   string `expr:"action"`
	Reason   string `expr:"reason"`
	Attempts int    `expr:"attempts"`
	Event    string `expr:"event"`
}

// values are what an event's data decodes to.
type values struct {
	message Message
	contact Contact
	data    Data
}

func decodeValues(e event.Event) (v values, err error) {
	decoded, err := e.Decode()
	if errors.Is(err, event.ErrUnknownType) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	switch d := decoded.(type) {
	case event.Message:
		v.message = Message{
			ID: d.ID, Content: d.Content, MessageType: d.MessageType.String(), ConversationID: d.ConversationID,
			SenderType: d.SenderType, SenderID: orZero(d.SenderID), CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, Status: d.Status,
		}
		v.data = Data{
			ID: d.ID, Content: d.Content, MessageType: d.MessageType.String(), ConversationID: d.ConversationID,
			SenderType: d.SenderType, SenderID: orZero(d.SenderID), CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, Status: d.Status,
		}
	case event.Conversation:
		v.contact = Contact(d.Contact)
		v.data = Data{
			ID: d.ID, Status: d.Status.String(), Priority: d.Priority.String(), AssigneeID: orZero(d.AssigneeID),
			InboxID: d.InboxID, TeamID: orZero(d.TeamID), Contact: Contact(d.Contact), UnreadCount: d.UnreadCount,
			CreatedAt: d.CreatedAt, LastActivityAt: d.LastActivityAt, SnoozedUntil: orZero(d.SnoozedUntil), Labels: d.Labels,
		}
		if m := d.LastMessage; m != nil {
			v.data.LastMessage = LastMessage{
				ID: m.ID, Content: m.Content, MessageType: m.MessageType.String(), CreatedAt: m.CreatedAt,
				SenderType: m.SenderType, SenderID: orZero(m.SenderID),
			}
		}
	case event.ActionResult:
		v.data = Data{Action: d.ID, Reason: d.Reason, Attempts: d.Attempts, Event: d.Event}
	}
	return v, nil
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// decodeRaw reads plain JSON with its whole numbers exact.
func decodeRaw(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read its data: %w", err)
	}
	return numbers(v), nil
}

// numbers puts numbers that an expression can compare into the place of texts.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			v[key] = numbers(below)
		}
	case []any:
		for i, below := range v {
			v[i] = numbers(below)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		if n, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return n
		}
		return v.String() // to compare what is larger as a text is exact
	}
	return v
}
