package outbox

import (
	"slices"
	"strings"
	"sync"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// echoes matches what the backend says with the actions that wait for it: at
// most one of each conversation.
type echoes struct {
	mu      sync.Mutex
	waiting map[string]*expectation // by conversation
	self    Self
	// refs is set by the first echoed ref: from then on nothing else counts.
	refs bool
	said string // the latest complaint since something was expected
	// claimed are the ids of the latest echoes, the oldest at next: an event
	// that comes twice is no second echo.
	claimed [remembered]string
	next    int
}

// remembered is how many echoes are told from new ones.
const remembered = 256

type expectation struct {
	action event.Action
	sender string
	ref    string
	echo   chan string // gets the id of the event that is the echo
}

func newEchoes(self Self) *echoes {
	return &echoes{waiting: map[string]*expectation{}, self: self}
}

// expect makes the next echo of the action known on the channel.
func (e *echoes) expect(a event.Action, sender, ref string) <-chan string {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := &expectation{a, sender, ref, make(chan string, 1)}
	e.waiting[a.Conversation], e.said = x, ""
	return x.echo
}

func (e *echoes) forget(conversation string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting, conversation)
}

func (e *echoes) complaint() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said
}

// Claim looks whether an event is the echo of an action that waits for it, and
// fills in whose it is. It must be called for every event of the account, in
// order, before the event is published. clientRef is the ref that the event
// carries, if any.
func (o *Outbox) Claim(ev *event.Event, clientRef string) {
	e := o.echoes
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.waiting[ev.Conversation]
	if clientRef != "" {
		e.refs = true
	}
	if x == nil {
		return
	}
	if clientRef != x.ref && (clientRef != "" || e.refs || !e.looksLike(x, *ev) || slices.Contains(e.claimed[:], ev.ID)) {
		return
	}
	delete(e.waiting, ev.Conversation)
	e.claimed[e.next] = ev.ID
	e.next = (e.next + 1) % remembered
	ev.By, ev.Action = x.sender, x.action.ID
	ev.TraceParent, ev.TraceState = x.action.TraceParent, x.action.TraceState
	x.echo <- ev.ID
}

// Complained keeps what the backend complained of, for the reason of an action
// that fails.
func (o *Outbox) Complained(text string) {
	o.echoes.mu.Lock()
	defer o.echoes.mu.Unlock()
	o.echoes.said = text
}

// looksLike compares an event without a ref with what the action would cause.
func (e *echoes) looksLike(x *expectation, ev event.Event) bool {
	switch x.action.Type {
	case event.SendMessage:
		if ev.Type != event.MessageNew {
			return false
		}
		var body event.SendMessageBody
		v, err := ev.Decode()
		m, ok := v.(event.Message)
		if err != nil || !ok || x.action.DecodeBody(&body) != nil {
			return false
		}
		return e.wroteIt(m) && normalise(m.Content) == normalise(body.Content)
	case event.UpdateStatus:
		var body event.UpdateStatusBody
		c, ok := conversation(ev)
		return ok && x.action.DecodeBody(&body) == nil && c.Status == body.Status
	case event.MarkAsRead:
		c, ok := conversation(ev)
		return ok && c.UnreadCount == 0
	}
	return false
}

// wroteIt reports whether we may have written the message.
func (e *echoes) wroteIt(m event.Message) bool {
	if e.self.SenderType == "" {
		return !m.FromContact()
	}
	return m.SenderType == e.self.SenderType && m.SenderID != nil && *m.SenderID == e.self.SenderID
}

func conversation(ev event.Event) (event.Conversation, bool) {
	if ev.Type != event.ConversationUpdated {
		return event.Conversation{}, false
	}
	v, err := ev.Decode()
	c, ok := v.(event.Conversation)
	return c, err == nil && ok
}

// normalise leaves out what backends change in a text: line ends and outer
// white space.
func normalise(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
}
