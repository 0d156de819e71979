package simulator

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// maxAction is the largest frame that a client may send, in bytes.
const maxAction = 1 << 20

// errOverrun says that a socket did not catch up with its account.
var errOverrun = errors.New("reader too slow")

// socket is one open connection. Its reader and its writer are a goroutine
// each; others come in by hear, send and end.
type socket struct {
	account *account
	conn    *websocket.Conn
	line    *line
	serial  int // guarded by the account's mutex
	queue   chan []byte
	effect  atomic.Pointer[effect] // what the faults in force do to it
	crowd   crowd                  // the writer's

	ctx context.Context // done when the socket is over
	end context.CancelCauseFunc
}

func newSocket(ctx context.Context, a *account) *socket {
	s := &socket{account: a, line: newLine(), queue: make(chan []byte, a.opts.Queue)}
	s.ctx, s.end = context.WithCancelCause(ctx)
	s.effect.Store(&effect{})
	return s
}

// serve reads and writes until the socket is over, and returns when both have
// stopped.
func (s *socket) serve() {
	var writer sync.WaitGroup
	writer.Go(func() { s.account.leave(s, s.write()) })
	s.account.leave(s, s.read())
	writer.Wait()
	_ = s.conn.CloseNow()
}

func (s *socket) read() error {
	s.conn.SetReadLimit(maxAction)
	for {
		_, raw, err := s.conn.Read(s.ctx)
		if err != nil {
			return err
		}
		if answer := s.account.perform(raw, s.effect.Load().noPong); answer != nil {
			s.send(answer)
		}
	}
}

func (s *socket) write() error {
	for {
		raw, err := s.next()
		if err != nil {
			return err
		}
		if err := s.pause(s.effect.Load().delay); err != nil {
			return err
		}
		if err := s.conn.Write(s.ctx, websocket.MessageText, raw); err != nil {
			return err
		}
	}
}

func (s *socket) pause(d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// hear queues an event, as often as the socket's faults want it, and reports
// whether they want it at all.
func (s *socket) hear(raw []byte, chance *rand.Rand) bool {
	e := s.effect.Load()
	if e.deaf || e.frozen || e.loss > 0 && chance.IntN(100) < e.loss {
		return false
	}
	s.send(raw)
	if e.twice {
		s.send(raw)
	}
	return true
}

// send queues a frame. While the queue is full it waits; a socket that stays
// full for the account's patience is closed.
func (s *socket) send(raw []byte) {
	select {
	case s.queue <- raw:
		return
	default:
	}
	patience := time.NewTimer(s.account.opts.Patience)
	defer patience.Stop()
	select {
	case s.queue <- raw:
	case <-s.ctx.Done():
	case <-patience.C:
		s.account.leave(s, errOverrun)
	}
}

// pinged decides whether a WebSocket ping is answered.
func (s *socket) pinged(context.Context, []byte) bool { return !s.effect.Load().noPong }
