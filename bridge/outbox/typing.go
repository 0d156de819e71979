package outbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

const (
	// typingStop is when the protocol's clients stop a typing indicator that
	// was not started again.
	typingStop = 3 * time.Second
	// typingTimeout bounds how long one may take to write: later it is untrue.
	typingTimeout = 2 * time.Second
)

// typing sends typing actions and ends what others leave on.
type typing struct {
	link Link
	log  *slog.Logger
	sent atomic.Uint64

	mu sync.Mutex
	on map[string]*time.Timer // by conversation
}

func newTyping(l Link, log *slog.Logger) *typing {
	return &typing{link: l, log: log, on: map[string]*time.Timer{}}
}

func (t *typing) send(a event.Action) error {
	t.mu.Lock()
	if timer := t.on[a.Conversation]; timer != nil {
		timer.Stop()
		delete(t.on, a.Conversation)
	}
	if a.Type == event.StartTyping {
		stop := a
		stop.Type = event.StopTyping
		t.on[a.Conversation] = time.AfterFunc(typingStop, func() {
			if err := t.send(stop); err != nil {
				t.log.Debug("typing was not stopped", "conversation", a.Conversation, "error", err)
			}
		})
	}
	t.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), typingTimeout)
	defer cancel()
	if err := t.link.Send(ctx, a, ""); err != nil {
		return err
	}
	t.sent.Add(1)
	return nil
}

// stopAll ends every indicator that is on.
func (t *typing) stopAll() {
	t.mu.Lock()
	var on []string
	for conversation := range t.on {
		on = append(on, conversation)
	}
	t.mu.Unlock()
	for _, conversation := range on {
		if err := t.send(event.Action{Type: event.StopTyping, Conversation: conversation}); err != nil {
			t.log.Debug("typing was not stopped", "conversation", conversation, "error", err)
		}
	}
}
