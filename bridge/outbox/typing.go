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
	on    map[string]indicator   // by conversation
	ended bool                   // nothing is taken any more
}

// indicator is one that is on.
type indicator struct {
	sender string // who started it last
	stop   *time.Timer
}

// typingLane is what waits in a conversation.
type typingLane struct {
	waiting *event.Action
	sender  string
	done    func(error)
}

func newTyping(l Link, log *slog.Logger) *typing {
	return &typing{link: l, log: log, lanes: map[string]*typingLane{}, on: map[string]indicator{}}
}

// take sends a sender's action, after those of its conversation that it took before.
// It does not wait; done is called once, by another goroutine or at once.
func (t *typing) take(sender string, a event.Action, done func(error)) {
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
	lane.waiting, lane.sender, lane.done = &a, sender, done
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
		a, sender, done := lane.waiting, lane.sender, lane.done
		if a == nil {
			delete(t.lanes, conversation)
			t.mu.Unlock()
			return
		}
		lane.waiting = nil
		t.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), typingTimeout)
		done(t.send(ctx, sender, *a))
		cancel()
	}
}

func (t *typing) send(ctx context.Context, sender string, a event.Action) error {
	if err := t.link.Send(ctx, a, ""); err != nil {
		return err
	}
	t.sent.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if was, on := t.on[a.Conversation]; on {
		was.stop.Stop()
		delete(t.on, a.Conversation)
	}
	if a.Type == event.StartTyping {
		t.on[a.Conversation] = indicator{sender, time.AfterFunc(typingStop, func() { t.stop(sender, a) })}
	}
	return nil
}

// stop ends the indicator that a sender's action started.
func (t *typing) stop(sender string, a event.Action) {
	a.Type = event.StopTyping
	t.take(sender, a, func(err error) { t.notStopped(a.Conversation, err) })
}

// SenderGone ends the typing indicators that a sender has on: it died, and
// will not.
func (d *Door) SenderGone(sender string) {
	for _, o := range d.accounts {
		if o != nil {
			o.typing.gone(sender)
		}
	}
}

func (t *typing) gone(sender string) {
	t.mu.Lock()
	var on []string
	for conversation, i := range t.on {
		if i.sender == sender {
			on = append(on, conversation)
			i.sender = "" // it is nobody's any more, and stopped once
			t.on[conversation] = i
		}
	}
	t.mu.Unlock()
	for _, conversation := range on {
		t.stop(sender, event.Action{Conversation: conversation})
	}
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
		err := t.send(ctx, "", event.Action{Type: event.StopTyping, Conversation: conversation})
		t.notStopped(conversation, err)
	}
}
