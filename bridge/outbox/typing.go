package outbox

import (
	"context"
	"errors"
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

var (
	errOvertaken = errors.New("a newer typing action of the conversation took its place")
	errStopping  = errors.New("the bridge is stopping")
)

// typing sends typing actions and ends what others leave on. Those of a
// conversation are sent in their order; while one is being written only the
// latest of the others waits.
type typing struct {
	link    Link
	log     *slog.Logger
	sent    atomic.Uint64
	working sync.WaitGroup

	mu    sync.Mutex
	lanes map[string]*typingLane // by conversation; those that are being worked on
	on    map[string]*time.Timer // by conversation
	ended bool                   // nothing is taken any more
}

// typingLane is what waits in a conversation.
type typingLane struct {
	waiting *event.Action
	done    func(error)
}

func newTyping(l Link, log *slog.Logger) *typing {
	return &typing{link: l, log: log, lanes: map[string]*typingLane{}, on: map[string]*time.Timer{}}
}

// take sends an action, after those of its conversation that it took before.
// It does not wait; done is called once, by another goroutine or at once.
func (t *typing) take(a event.Action, done func(error)) {
	t.mu.Lock()
	lane, working := t.lanes[a.Conversation], false
	overtaken := func(error) {}
	switch {
	case t.ended:
		t.mu.Unlock()
		done(errStopping)
		return
	case lane != nil:
		working = true
		if lane.waiting != nil {
			overtaken = lane.done
		}
	default:
		lane = &typingLane{}
		t.lanes[a.Conversation] = lane
	}
	lane.waiting, lane.done = &a, done
	if !working {
		t.working.Go(func() { t.work(a.Conversation, lane) })
	}
	t.mu.Unlock()
	overtaken(errOvertaken)
}

// work sends what waits in a lane until nothing does.
func (t *typing) work(conversation string, lane *typingLane) {
	for {
		t.mu.Lock()
		a, done := lane.waiting, lane.done
		if a == nil {
			delete(t.lanes, conversation)
			t.mu.Unlock()
			return
		}
		lane.waiting = nil
		t.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), typingTimeout)
		done(t.send(ctx, *a))
		cancel()
	}
}

func (t *typing) send(ctx context.Context, a event.Action) error {
	if err := t.link.Send(ctx, a, ""); err != nil {
		return err
	}
	t.sent.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if timer := t.on[a.Conversation]; timer != nil {
		timer.Stop()
		delete(t.on, a.Conversation)
	}
	if a.Type == event.StartTyping {
		stop := a
		stop.Type = event.StopTyping
		t.on[a.Conversation] = time.AfterFunc(typingStop, func() {
			t.take(stop, func(err error) { t.notStopped(stop.Conversation, err) })
		})
	}
	return nil
}

func (t *typing) notStopped(conversation string, err error) {
	if err != nil {
		t.log.Debug("typing was not stopped", "conversation", conversation, "error", err)
	}
}

// stopAll ends every indicator that is on, and takes no more.
func (t *typing) stopAll() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.working.Wait()

	t.mu.Lock()
	var on []string
	for conversation := range t.on {
		on = append(on, conversation)
	}
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), typingTimeout)
	defer cancel()
	for _, conversation := range on {
		err := t.send(ctx, event.Action{Type: event.StopTyping, Conversation: conversation})
		t.notStopped(conversation, err)
	}
}
