package badplugins

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// load is what goes on in the conversations. One goroutine uses it.
type load struct {
	backend       *simulator.Server
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

// maxLag is how far the load may fall behind; what is more is forgotten.
const maxLag = time.Second

// Run makes events at the rate, evenly, until ctx ends.
func (l *load) Run(ctx context.Context, rate float64) error {
	interval := time.Duration(float64(time.Second) / rate)
	for due := time.Now(); ; {
		due = due.Add(interval)
		if now := time.Now(); now.Sub(due) > maxLag {
			due = now
		}
		if pass(ctx, time.Until(due)) != nil {
			return nil
		}
		if err := l.step(); err != nil {
			return fmt.Errorf("make the load: %w", err)
		}
	}
}

// step makes one event: mostly a message, now and then an edit or a status.
func (l *load) step() error {
	conversation := l.conversations[rand.IntN(len(l.conversations))]
	l.count++
	switch what := rand.IntN(100); {
	case what < 12 && len(l.recent) > 0:
		id := l.recent[rand.IntN(len(l.recent))]
		return l.backend.CustomerEdits(account, id, fmt.Sprintf("Edited, event %d", l.count))
	case what < 20:
		return l.backend.SetStatus(account, conversation, event.Status(rand.IntN(4)))
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

// pass lets time go by.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// poll asks again and again, for what nobody tells.
func poll(ctx context.Context, every time.Duration, met func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := met(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
