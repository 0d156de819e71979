package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// rates say who makes how much, a second.
type rates struct {
	script float64 // messages of the simulator's customers
	direct float64 // events of the load on lasting conversations
}

// split shares the events between the customers, who open new conversations,
// and the load on those that last. A customer's message brings with it an edit
// in one of eight, an opening in one of four or five, and an agent in one of
// ten.
func split(events float64) rates {
	const ofScript, eventsPerMessage = 0.2, 1.45
	return rates{script: events * ofScript / eventsPerMessage, direct: events * (1 - ofScript)}
}

// maxLag is how far the load may fall behind; what is more is forgotten, as
// when a backend waits for its sockets.
const maxLag = time.Second

// steps calls do at the rate, evenly, until ctx ends.
func steps(ctx context.Context, rate float64, do func() error) error {
	interval := time.Duration(float64(time.Second) / rate)
	for due := time.Now(); ; {
		due = due.Add(interval)
		if now := time.Now(); now.Sub(due) > maxLag {
			due = now
		}
		if pass(ctx, time.Until(due)) != nil {
			return nil
		}
		if err := do(); err != nil {
			return err
		}
	}
}

// load is what goes on in the conversations that last. One goroutine uses it.
type load struct {
	backend       *simulator.Server
	random        *rand.Rand
	conversations []int64
	recent        []int64 // messages, of which some are edited
	count         int
}

// open opens the conversations.
func (l *load) open(n int) error {
	for i := range n {
		id, err := l.backend.OpenConversation(account, fmt.Sprintf("Customer %d", i+1))
		if err != nil {
			return err
		}
		l.conversations = append(l.conversations, id)
	}
	return nil
}

// ours are the conversations whose status our actions change, and theirs those
// whose status an agent elsewhere changes.
func ours(i int) bool { return i%2 == 1 }

// step makes one event.
func (l *load) step() error {
	i := l.random.IntN(len(l.conversations))
	conversation := l.conversations[i]
	l.count++
	switch what := l.random.IntN(100); {
	case what < 12 && len(l.recent) > 0:
		id := l.recent[l.random.IntN(len(l.recent))]
		return l.backend.CustomerEdits(account, id, fmt.Sprintf("Edited, event %d", l.count))
	case what < 20 && !ours(i):
		return l.backend.SetStatus(account, conversation, event.Status(l.random.IntN(4)))
	}
	id, err := l.backend.CustomerWrites(account, conversation, fmt.Sprintf("Event %d: where is my order? – “soon” 🙂", l.count))
	if err != nil {
		return err
	}
	const kept = 20
	if l.recent = append(l.recent, id); len(l.recent) > kept {
		l.recent = l.recent[1:]
	}
	return nil
}
