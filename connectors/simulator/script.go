package simulator

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// script decides what the customers of an account do next. It depends on its
// seed alone: what clients do changes ids of messages, but never who writes
// what and where. One goroutine uses it.
type script struct {
	random *rand.Rand
	room   int // how many conversations go on at a time
	chats  []*chat
}

// chat is a conversation that is going on. The ids are known once its acts
// were done.
type chat struct {
	topic        topic
	left         int // messages until it is over
	conversation int64
	contact      contact
	message      int64 // the customer's last
}

// act is one thing that a customer does, named by the event that comes of it.
type act struct {
	kind event.Type
	chat *chat
	text string // of a message; the contact's name for conversation.new; one of agentDoes
}

func newScript(seed uint64, account string, room int) *script {
	h := fnv.New64a()
	_, _ = h.Write([]byte(account))
	return &script{random: rand.New(rand.NewPCG(seed, h.Sum64())), room: room}
}

// next returns the acts of a turn. In each one customer writes one message:
// mostly in a conversation that goes on, sometimes in a new one. Half of the
// messages are seen being typed, one in eight is edited, and after one in ten
// an agent changes the conversation's status or labels.
func (s *script) next() []act {
	var acts []act
	c, isNew := s.pick()
	if isNew {
		acts = append(acts, act{event.ConversationNew, c, pick(s, names)})
	}
	if s.random.IntN(2) == 0 {
		acts = append(acts, act{event.TypingStart, c, ""}, act{event.TypingStop, c, ""})
	}
	acts = append(acts, act{event.MessageNew, c, s.line(c, isNew)})
	if s.random.IntN(8) == 0 {
		acts = append(acts, act{event.MessageUpdated, c, s.line(c, isNew)})
	}
	if s.random.IntN(10) == 0 {
		acts = append(acts, act{event.ConversationUpdated, c, pick(s, agentDoes)})
	}
	if c.left--; c.left == 0 {
		s.forget(c)
	}
	return acts
}

// forget ends a chat.
func (s *script) forget(c *chat) {
	s.chats = slices.DeleteFunc(s.chats, func(other *chat) bool { return other == c })
}

// agentDoes are what agents do to conversations: an act's text by which they
// are told apart.
var agentDoes = []string{"resolve", "reopen", "label"}

// pick chooses a chat, or begins one while there is room.
func (s *script) pick() (_ *chat, isNew bool) {
	if len(s.chats) == 0 || len(s.chats) < s.room && s.random.IntN(3) == 0 {
		c := &chat{topic: pick(s, topics), left: 2 + s.random.IntN(6)}
		s.chats = append(s.chats, c)
		return c, true
	}
	return pick(s, s.chats), false
}

// line is what the customer writes at this point of the chat.
func (s *script) line(c *chat, isNew bool) string {
	switch {
	case isNew:
		return pick(s, c.topic.questions)
	case c.left == 1:
		return pick(s, farewells)
	}
	return pick(s, c.topic.details)
}

func pick[T any](s *script, from []T) T { return from[s.random.IntN(len(from))] }

// do lets the act happen.
func (a act) do(w *world, at stamp) (notice, error) {
	c := a.chat
	switch a.kind {
	case event.ConversationNew:
		t := w.open(at, a.text, c.topic.label)
		c.conversation, c.contact = t.ID, t.Contact
		return notice{a.kind, t.conversation}, nil
	case event.TypingStart, event.TypingStop:
		return notice{a.kind, contactTypes(c.conversation, c.contact, a.kind == event.TypingStart)}, nil
	case event.MessageNew:
		m, err := w.customerWrites(at, c.conversation, a.text)
		if err != nil {
			return notice{}, err
		}
		c.message = m.ID
		return notice{a.kind, *m}, nil
	case event.MessageUpdated:
		m, err := w.edit(at, c.message, a.text)
		if err != nil {
			return notice{}, err
		}
		return notice{a.kind, *m}, nil
	case event.ConversationUpdated:
		t, err := a.agent(w, at)
		if err != nil {
			return notice{}, err
		}
		return notice{a.kind, t.conversation}, nil
	}
	return notice{}, fmt.Errorf("no customer can do %q", a.kind)
}

// agent does what an agent does behind the backend, in its own pages.
func (a act) agent(w *world, at stamp) (*thread, error) {
	switch a.text {
	case "resolve":
		return w.setStatus(at, a.chat.conversation, event.StatusResolved)
	case "reopen":
		return w.setStatus(at, a.chat.conversation, event.StatusOpen)
	default:
		return w.label(a.chat.conversation, a.chat.topic.label, "seen")
	}
}
