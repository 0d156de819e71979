package simulator

import "github.com/switchboard-dev/switchboard/proto/event"

// The methods here do at once what customers, or others behind the backend,
// may do. They return when the events that come of it are queued for every
// open socket. Errors match [ErrNotFound] where an account, a conversation or
// a message does not exist.

// OpenConversation opens a conversation with a new contact of that name and
// returns its id: conversation.new.
func (s *Server) OpenConversation(account, name string) (int64, error) {
	var id int64
	err := s.change(account, func(w *world) (notice, error) {
		t := w.open(w.now(), name)
		id = t.ID
		return notice{event.ConversationNew, t.conversation}, nil
	})
	return id, err
}

// CustomerWrites adds a message by the conversation's contact and returns its
// id: message.new.
func (s *Server) CustomerWrites(account string, conversation int64, text string) (int64, error) {
	var id int64
	err := s.change(account, func(w *world) (notice, error) {
		m, err := w.customerWrites(w.now(), conversation, text)
		if err != nil {
			return notice{}, err
		}
		id = m.ID
		return notice{event.MessageNew, *m}, nil
	})
	return id, err
}

// CustomerEdits changes the text of a message: message.updated.
func (s *Server) CustomerEdits(account string, message int64, text string) error {
	return s.change(account, func(w *world) (notice, error) {
		m, err := w.edit(w.now(), message, text)
		if err != nil {
			return notice{}, err
		}
		return notice{event.MessageUpdated, *m}, nil
	})
}

// CustomerTypes tells that the conversation's contact started or stopped
// typing: typing.start or typing.stop.
func (s *Server) CustomerTypes(account string, conversation int64, isTyping bool) error {
	return s.change(account, func(w *world) (notice, error) {
		t, err := w.thread(conversation)
		if err != nil {
			return notice{}, err
		}
		return notice{typingEvent(isTyping), contactTypes(t.ID, t.Contact, isTyping)}, nil
	})
}

// SetStatus changes the status of a conversation, as an agent elsewhere would:
// conversation.updated. A status that the protocol does not have is an error.
func (s *Server) SetStatus(account string, conversation int64, status event.Status) error {
	return s.change(account, func(w *world) (notice, error) {
		t, err := w.setStatus(w.now(), conversation, status)
		if err != nil {
			return notice{}, err
		}
		return notice{event.ConversationUpdated, t.conversation}, nil
	})
}

// Label puts these labels on a conversation, in place of what it had, as an
// agent elsewhere would: conversation.updated.
func (s *Server) Label(account string, conversation int64, labels ...string) error {
	return s.change(account, func(w *world) (notice, error) {
		t, err := w.label(conversation, append([]string{}, labels...)...)
		if err != nil {
			return notice{}, err
		}
		return notice{event.ConversationUpdated, t.conversation}, nil
	})
}

// Delete takes a conversation away: REST does not list it any more and answers
// 404, and nothing can be done to it. The protocol has no event for that, so
// nobody is told.
func (s *Server) Delete(account string, conversation int64) error {
	a, err := s.account(account)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.touch()
	return a.world.delete(conversation)
}

// Broadcast sends any text frame to every open socket of the account, in its
// turn among the events. It changes nothing else and is counted as Injected.
// raw must not be written to afterwards.
func (s *Server) Broadcast(account string, raw []byte) error {
	a, err := s.account(account)
	if err != nil {
		return err
	}
	a.inject(raw)
	return nil
}

func (s *Server) change(account string, do func(w *world) (notice, error)) error {
	a, err := s.account(account)
	if err != nil {
		return err
	}
	return a.change(do)
}
