package outbox

import (
	"strings"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// echoes matches what the backend says, over the socket or by REST, with the
// actions that wait for it: at most one of each conversation.
type echoes struct {
	// account begins the ids of its events.
	account string

	mu      sync.Mutex
	waiting map[string]*expectation // by conversation
	self    Self
	// learned: self was, from an echo.
	learned bool
	// refs is set by the first echoed ref: from then on nothing else counts of
	// what comes over the socket.
	refs    bool
	said    string // the latest complaint since something was expected
	claimed claims
	seen    seen
	// skew is the backend's clock less ours, as far as REST told.
	skew time.Duration
}

type expectation struct {
	action event.Action
	sender string
	ref    string
	baseline
	echo chan outcome // gets one
}

// outcome is what the backend said of an action.
type outcome struct {
	event   string // the id of the event that is the echo
	refused string // what it complained of instead
}

func newEchoes(account string, self Self) *echoes {
	return &echoes{
		account: account, waiting: map[string]*expectation{}, self: self,
		claimed: claims{owners: map[string]owner{}}, seen: seen{statuses: map[string]event.Status{}},
	}
}

// expect makes the next echo of the action known on the expectation's channel.
// first is what was known before it was first sent; nil: it is about to be.
// highest is the highest id of a message that others know of.
func (e *echoes) expect(a event.Action, sender, ref string, first *baseline, highest int64) *expectation {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := &expectation{action: a, sender: sender, ref: ref, echo: make(chan outcome, 1)}
	if first == nil {
		x.baseline = e.seen.baseline(a, highest)
	} else {
		x.baseline = *first
		if e.self.SenderType == "" && first.Self != nil {
			e.self = *first.Self
		}
	}
	if e.learned {
		self := e.self
		x.Self = &self
	}
	e.waiting[a.Conversation], e.said = x, ""
	return x
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

// mayBeOurs reports whether we may have written the message.
func (e *echoes) mayBeOurs(m event.Message) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wroteIt(m)
}

// Claim looks whether an event is the echo of an action that waits for it, and
// fills in whose it is. It must be called for every event of the account, also
// for those fetched by REST (which are marked as replayed), in order, before
// the event is published. clientRef is the ref that the event carries, if any.
func (o *Outbox) Claim(ev *event.Event, clientRef string) {
	o.echoes.claim(ev, clientRef)
	o.guard.heard(*ev, o.echoes.mayBeOurs)
}

func (e *echoes) claim(ev *event.Event, clientRef string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen.event(e.account, *ev)
	if clientRef != "" {
		e.refs = true
	}
	if owner, ok := e.claimed.owners[ev.ID]; ok { // it comes again, or REST had it first
		owner.mark(ev)
		return
	}
	x := e.waiting[ev.Conversation]
	if x == nil {
		return
	}
	// REST need not know the ref that the socket carries.
	mute := e.refs && !ev.Replayed
	if clientRef != x.ref && (clientRef != "" || mute || !e.looksLike(x, *ev)) {
		return
	}
	if clientRef == x.ref {
		e.learn(*ev)
	}
	e.settle(x, ev.ID).mark(ev)
}

// settle gives the event to the action that waits for it. The caller holds the
// lock.
func (e *echoes) settle(x *expectation, id string) owner {
	whose := owner{x.sender, x.action.ID, x.action.TraceParent, x.action.TraceState}
	e.claimed.add(id, whose)
	delete(e.waiting, x.action.Conversation)
	x.echo <- outcome{event: id}
	return whose
}

// learn takes who we are from an echo that is ours for certain. The caller
// holds the lock.
func (e *echoes) learn(ev event.Event) {
	if e.self.SenderType != "" || ev.Type != event.MessageNew {
		return
	}
	v, err := ev.Decode()
	if m, ok := v.(event.Message); ok && err == nil && m.SenderType != "" && m.SenderID != nil {
		e.self, e.learned = Self{m.SenderType, *m.SenderID}, true
	}
}

// Complained keeps what the backend complained of, for the reason of an action
// that fails.
func (o *Outbox) Complained(text string) {
	o.echoes.mu.Lock()
	defer o.echoes.mu.Unlock()
	o.echoes.said = text
}

// Refused ends the action of that ref: the backend complained of it, and did
// not do it.
func (o *Outbox) Refused(ref, text string) {
	e := o.echoes
	e.mu.Lock()
	defer e.mu.Unlock()
	for conversation, x := range e.waiting {
		if x.ref == ref {
			delete(e.waiting, conversation)
			x.echo <- outcome{refused: text}
			return
		}
	}
}

// find looks for the action among messages that REST has, claims the one that
// is its own, and returns the id of its event. skew is the backend's clock less
// ours.
func (e *echoes) find(x *expectation, messages []connectors.Frame, skew time.Duration) (id string, found bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.skew = skew
	for _, f := range messages {
		ev := event.Event{
			ID: e.account + newMessage + f.Object, Type: event.MessageNew,
			Account: x.action.Account, Conversation: x.action.Conversation, Time: f.Time, Replayed: true, Data: f.Data,
		}
		if owner, ok := e.claimed.owners[ev.ID]; ok {
			if owner.sender == x.sender && owner.action == x.action.ID {
				return ev.ID, true // Claim had it first
			}
			continue
		}
		if f.ClientRef == x.ref || f.ClientRef == "" && e.looksLike(x, ev) {
			if e.waiting[x.action.Conversation] == x {
				e.settle(x, ev.ID)
			}
			return ev.ID, true
		}
	}
	return "", false
}

// looksLike compares an event without a ref with what the action would cause.
func (e *echoes) looksLike(x *expectation, ev event.Event) bool {
	switch x.action.Type {
	case event.SendMessage:
		if ev.Type != event.MessageNew || !x.mayCause(e.account, ev, e.skew) {
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
