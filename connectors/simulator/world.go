package simulator

import (
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ErrNotFound is matched by errors about an account, a conversation or a
// message that does not exist.
var ErrNotFound = errors.New("not found")

// world is what an account holds. Ids of conversations and of messages count
// from 1 in each account, so they stand at their id less one. Its account's
// mutex guards it.
type world struct {
	agent         int64
	conversations []*thread
	messages      []*message
	edits         int
	last          time.Time     // what now returned last
	skew          time.Duration // how far its clock is off
}

// thread is a conversation with its messages, oldest first.
type thread struct {
	conversation
	messages []*message
	deleted  bool // it keeps its place, so that ids go on
}

// now is the time with the backend's precision; no two calls return the same,
// so that times order what happened while nobody steps the clock.
func (w *world) now() stamp {
	t := time.Now().Add(w.skew).Truncate(time.Microsecond)
	if !t.After(w.last) {
		t = w.last.Add(time.Microsecond)
	}
	w.last = t
	return stamp{t}
}

// step sets how far the clock is off. Time may go back by it.
func (w *world) step(skew time.Duration) {
	if skew != w.skew {
		w.skew, w.last = skew, time.Time{}
	}
}

// open makes a conversation with a new contact. Priority, inbox, team,
// assignee and kind of contact are spread over the conversations, so that
// filters have something to tell apart.
func (w *world) open(at stamp, name string, labels ...string) *thread {
	id := int64(len(w.conversations) + 1)
	t := &thread{conversation: conversation{
		ID:             id,
		Priority:       event.Priority(id % 4),
		InboxID:        1 + id%2,
		CreatedAt:      at,
		LastActivityAt: at,
		Labels:         append([]string{}, labels...),
		Channel:        "webchat",
		Contact: contact{
			ID:          id,
			Name:        name,
			Email:       fmt.Sprintf("customer%d@example.com", id),
			ContactType: []string{"lead", "customer"}[id%2],
		},
	}}
	if id%2 == 0 {
		t.TeamID = new(int64(1))
	}
	if id%3 == 0 {
		t.AssigneeID = new(w.agent)
	}
	w.conversations = append(w.conversations, t)
	return t
}

// customerWrites adds a message of the conversation's contact.
func (w *world) customerWrites(at stamp, conversation int64, text string) (*message, error) {
	t, err := w.thread(conversation)
	if err != nil {
		return nil, err
	}
	t.UnreadCount++
	return w.add(at, t, message{
		Content: text, MessageType: event.MessageIncoming, SenderType: event.SenderContact, SenderID: t.Contact.ID,
	}), nil
}

// agentWrites adds a message of the user that the token writes as.
func (w *world) agentWrites(at stamp, conversation int64, text string, kind event.MessageType) (*message, error) {
	t, err := w.thread(conversation)
	if err != nil {
		return nil, err
	}
	return w.add(at, t, message{Content: text, MessageType: kind, SenderType: "User", SenderID: w.agent}), nil
}

func (w *world) add(at stamp, t *thread, m message) *message {
	m.ID = int64(len(w.messages) + 1)
	m.ConversationID = t.ID
	m.CreatedAt, m.UpdatedAt = at, at
	m.Status = "sent"
	w.messages = append(w.messages, &m)
	t.messages = append(t.messages, &m)
	t.LastActivityAt = at
	t.LastMessage = m.short()
	return &m
}

// edit changes the text of a message. It is no activity.
func (w *world) edit(at stamp, id int64, text string) (*message, error) {
	if id < 1 || id > int64(len(w.messages)) {
		return nil, fmt.Errorf("message %d: %w", id, ErrNotFound)
	}
	m := w.messages[id-1]
	t, err := w.thread(m.ConversationID)
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", id, err)
	}
	m.Content = text
	m.UpdatedAt = at
	w.edits++
	if t.LastMessage.ID == id {
		t.LastMessage = m.short()
	}
	return m, nil
}

// setStatus changes the status of a conversation; a snooze ends a day later.
func (w *world) setStatus(at stamp, conversation int64, status event.Status) (*thread, error) {
	if status < event.StatusOpen || status > event.StatusSnoozed {
		return nil, fmt.Errorf("status %d is not 0 to 3", status)
	}
	t, err := w.thread(conversation)
	if err != nil {
		return nil, err
	}
	t.Status = status
	t.SnoozedUntil = nil
	if status == event.StatusSnoozed {
		t.SnoozedUntil = &stamp{at.Add(24 * time.Hour)}
	}
	return t, nil
}

// label puts other labels on a conversation.
func (w *world) label(conversation int64, labels ...string) (*thread, error) {
	t, err := w.thread(conversation)
	if err != nil {
		return nil, err
	}
	t.Labels = labels
	return t, nil
}

// delete takes a conversation away, with its messages.
func (w *world) delete(conversation int64) error {
	t, err := w.thread(conversation)
	if err != nil {
		return err
	}
	t.deleted = true
	return nil
}

// markRead sets the count of unread messages to zero.
func (w *world) markRead(conversation int64) (*thread, error) {
	t, err := w.thread(conversation)
	if err != nil {
		return nil, err
	}
	t.UnreadCount = 0
	return t, nil
}

func (w *world) thread(id int64) (*thread, error) {
	if id < 1 || id > int64(len(w.conversations)) || w.conversations[id-1].deleted {
		return nil, fmt.Errorf("conversation %d: %w", id, ErrNotFound)
	}
	return w.conversations[id-1], nil
}

func (m *message) short() *lastMessage {
	return &lastMessage{m.ID, m.Content, m.MessageType, m.CreatedAt, m.SenderType, m.SenderID}
}
