package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Operator is the sender of what a person did by hand, on the command line.
const Operator = "operator"

// ErrLoop: the bots of a conversation answer each other.
var ErrLoop = errors.New("bots answer each other")

const statusLoop = http.StatusLoopDetected

// Loop says when a chain of bots that answer bots is cut. A turn is a
// send_message of another sender than the one before it in the conversation, or
// one that answers a message which a sender of ours wrote, with no message by a
// person in between.
//
// That it answers one is seen by its id, where that has the event's id in it, as
// the SDK makes them. What is not seen: a single sender that answers its own
// messages under other ids, a chain through more than one conversation, and
// turns from before a restart of the bridge.
type Loop struct {
	// Turns is how many there may be within a time; default 10, negative: any
	// number.
	Turns int
	// Within is that time; default 5 min. Further turns are refused until a
	// person writes, or nobody has sent anything for as long.
	Within time.Duration
}

func (l Loop) orDefault() Loop {
	if l.Turns == 0 {
		l.Turns = 10
	}
	if l.Within <= 0 {
		l.Within = 5 * time.Minute
	}
	return l
}

// guard cuts such chains. Its methods are safe for concurrent use.
type guard struct {
	Loop
	account string
	// wrote is who of ours wrote the message that an event told.
	wrote func(event string) (sender string, ok bool)
	log   *slog.Logger
	cuts  atomic.Uint64

	mu    sync.Mutex
	talks map[string]*talk // by conversation
	swept time.Time
}

// talk is what senders of ours said in a conversation since a person did.
type talk struct {
	last  string      // who spoke last
	turns []time.Time // the latest, at most as many as there may be
	heard time.Time   // when somebody last tried
	// cut is since when the chain is cut; zero: it is not.
	cut time.Time
}

func newGuard(o Options, e *echoes) *guard {
	return &guard{
		Loop: o.Loop.orDefault(), account: o.Account, wrote: e.wrote, log: o.Log, talks: map[string]*talk{}, swept: time.Now(),
	}
}

// admit says why a new action is refused: its sender and others answer each
// other. What it admits counts.
func (g *guard) admit(sender string, a event.Action, now time.Time) error {
	if g.Turns < 0 || a.Type != event.SendMessage {
		return nil
	}
	if sender == Operator {
		g.person(a.Conversation)
		return nil
	}
	answered, isAnswer := g.answered(a.ID)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	t := g.talks[a.Conversation]
	if t == nil || now.Sub(t.heard) > g.Within {
		t = &talk{last: sender}
		g.talks[a.Conversation] = t
	}
	t.heard = now
	if sender == t.last && !isAnswer {
		return nil
	}
	t.turns = slices.DeleteFunc(t.turns, func(at time.Time) bool { return now.Sub(at) > g.Within })
	if t.cut.IsZero() && len(t.turns) < g.Turns {
		t.last, t.turns = sender, append(t.turns, now)
		return nil
	}
	other := t.last
	if isAnswer {
		other = answered
	}
	g.cuts.Add(1)
	if t.cut.IsZero() || now.Sub(t.cut) > g.Within {
		t.cut = now
		g.log.Error("bots answer each other: the chain is cut", "conversation", a.Conversation, "sender", sender, "other", other,
			"turns", g.Turns, "within", g.Within)
	}
	return fmt.Errorf("%w: there were %d turns of %q and others in conversation %s of account %s within %s, and no person wrote; "+
		"it is refused until one does, or nothing is sent for as long; accounts.%s.loop says how many there may be", ErrLoop, g.Turns, other, a.Conversation, g.account, g.Within, g.account)
}

// answered is who of ours wrote the message that an action of that id answers.
func (g *guard) answered(id string) (sender string, ok bool) {
	prefix := g.account + newMessage
	i := strings.Index(id, prefix)
	if i < 0 {
		return "", false
	}
	message := id[i+len(prefix):]
	if end := strings.IndexByte(message, '/'); end >= 0 {
		message = message[:end]
	}
	return g.wrote(prefix + message)
}

// person says that a person wrote in a conversation.
func (g *guard) person(conversation string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.talks, conversation)
}

// talked reports whether it matters who writes in a conversation.
func (g *guard) talked(conversation string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.talks[conversation]
	return ok
}

// sweep forgets, now and then, what was long ago. The caller holds the lock.
func (g *guard) sweep(now time.Time) {
	if now.Sub(g.swept) < g.Within {
		return
	}
	g.swept = now
	for conversation, t := range g.talks {
		if now.Sub(t.heard) > g.Within {
			delete(g.talks, conversation)
		}
	}
}

// wrote is who of ours wrote the message that an event told, as far as that is
// remembered.
func (e *echoes) wrote(id string) (sender string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	owner, ok := e.claimed.owners[id]
	return owner.sender, ok
}

// heard takes in an event: a person who writes ends a chain. A message that is
// told late counts where it is new enough to have interrupted it.
func (g *guard) heard(ev event.Event, ours func(event.Message) bool) {
	if ev.Type != event.MessageNew || ev.By != "" || !g.talked(ev.Conversation) {
		return
	}
	if ev.Replayed && time.Since(ev.Time) > g.Within {
		return
	}
	v, err := ev.Decode()
	if m, ok := v.(event.Message); err == nil && ok && isPerson(m) && !ours(m) {
		g.person(ev.Conversation)
	}
}

// agent is the sender type of a person who writes for the company; bots have
// others.
const agent = "User"

func isPerson(m event.Message) bool {
	return (m.FromContact() || m.SenderType == agent) && m.MessageType != event.MessageActivity && m.MessageType != event.MessageTemplate
}
