package simulator

import (
	"encoding/json"
	"fmt"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Snapshot is what an account holds at one moment, and what was done to it: the
// truth that a bridge is measured against.
type Snapshot struct {
	// Conversations are those that exist, in their latest state, by id. Those
	// of the history are among them.
	Conversations []event.Conversation
	// Messages are theirs, in their latest version, by id.
	Messages []event.Message
	// Deleted are the ids of conversations that do not exist any more.
	Deleted []int64
	// Done are the actions that came over sockets and were done, in that
	// order. Typing and pings are not among them.
	Done []Done
}

// Done is an action that was done.
type Done struct {
	// Ref is the action's client_ref; empty where it had none.
	Ref          string
	Type         event.ActionType
	Conversation int64
	// Content is that of send_message.
	Content string
	// Status is that of update_status.
	Status event.Status
}

// Snapshot returns what an account holds now. What is broadcast afterwards is
// not in it, so pause the customers first. The error matches [ErrNotFound].
func (s *Server) Snapshot(account string) (Snapshot, error) {
	a, err := s.account(account)
	if err != nil {
		return Snapshot{}, err
	}
	threads, messages, done := a.holdings()
	snap := Snapshot{Done: done}
	gone := map[int64]bool{}
	for _, t := range threads {
		if gone[t.ID] = t.deleted; t.deleted {
			snap.Deleted = append(snap.Deleted, t.ID)
			continue
		}
		snap.Conversations = append(snap.Conversations, read[event.Conversation](t.conversation))
	}
	for _, m := range messages {
		if !gone[m.ConversationID] {
			snap.Messages = append(snap.Messages, read[event.Message](m))
		}
	}
	return snap, nil
}

// holdings copies what there is. The copied threads have no messages.
func (a *account) holdings() (threads []thread, messages []message, done []Done) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.world.conversations {
		threads = append(threads, thread{conversation: t.conversation, deleted: t.deleted})
	}
	for _, m := range a.world.messages {
		messages = append(messages, *m)
	}
	return threads, messages, append(done, a.done...)
}

// read reads what the backend writes, as its clients do.
func read[T any](v any) T {
	var t T
	if err := json.Unmarshal(encode(v), &t); err != nil {
		panic(fmt.Sprintf("simulator: read %T back: %v", v, err))
	}
	return t
}

// done is what is kept of an action.
func (r request) done(conversation int64) Done {
	d := Done{Ref: r.Data.ClientRef, Type: r.Type, Conversation: conversation}
	switch {
	case r.Type == event.SendMessage:
		d.Content = r.Data.Content
	case r.Type == event.UpdateStatus:
		d.Status = *r.Data.Status
	}
	return d
}
