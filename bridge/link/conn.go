package link

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
)

// conn is one session and what is done with it: its frames go to its gate, and
// it is asked for signs of life.
type conn struct {
	session connectors.Session
	since   time.Time
	gate    *gate
	// ctx ends with the connection, and its cause says why.
	ctx context.Context
	end context.CancelCauseFunc

	handling handling
	ask      chan struct{} // for a sign of life at once
	read     chan struct{} // closed when nothing more is read
	failure  error         // of the gate; to be looked at when read is closed
	working  sync.WaitGroup

	// writing is shared by those who write an action.
	writing sync.RWMutex
	// unwritable says that a write has failed. The link's mutex guards it.
	unwritable bool
}

// newConn makes a connection of a session, which begins with start.
func newConn(ctx context.Context, s connectors.Session, g *gate) *conn {
	c := &conn{session: s, since: time.Now(), gate: g, ask: make(chan struct{}, 1), read: make(chan struct{})}
	c.ctx, c.end = context.WithCancelCause(ctx)
	return c
}

// start has the connection read, and asked for signs of life. When ctx ends,
// frames are given up in the middle.
func (c *conn) start(ctx context.Context, interval, timeout time.Duration) {
	c.working.Go(func() {
		defer close(c.read)
		c.end(c.receive(ctx))
	})
	c.working.Go(func() { c.end(c.heartbeat(interval, timeout)) })
}

// close ends the connection and all that is done with it. cancel ends the
// context of start, when the peer has been told.
func (c *conn) close(cancel context.CancelFunc) {
	_ = c.session.Close()
	c.end(errAsked)
	cancel()
	c.working.Wait()
}

// frameError is a failure of Options.Frame, and not of the connection.
type frameError struct{ err error }

func (e *frameError) Error() string { return e.err.Error() }

func (c *conn) receive(ctx context.Context) error {
	for {
		f, err := c.session.Receive(c.ctx)
		if err != nil {
			c.gate.finish(ctx)
			return err
		}
		c.handling.begin()
		err = c.gate.take(ctx, c.ctx.Done(), f)
		c.handling.end()
		if err != nil && ctx.Err() == nil {
			c.failure = &frameError{err}
			return c.failure
		}
	}
}

// giveKept gives what the gate has kept while the connection is read.
func (c *conn) giveKept(ctx context.Context) {
	c.working.Go(func() {
		c.handling.begin()
		defer c.handling.end()
		if err := c.gate.drain(ctx); err != nil && ctx.Err() == nil {
			c.end(&frameError{err})
		}
	})
}

// handling tells the heartbeat whether it is we who are slow.
type handling struct {
	mu     sync.Mutex
	frames uint64 // handled so far
	busy   int    // are being handled
}

func (h *handling) begin() { h.mu.Lock(); h.busy++; h.mu.Unlock() }
func (h *handling) end()   { h.mu.Lock(); h.busy--; h.frames++; h.mu.Unlock() }

func (h *handling) now() (frames uint64, busy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.frames, h.busy > 0
}

// askNow has the heartbeat ask at once.
func (c *conn) askNow() {
	select {
	case c.ask <- struct{}{}:
	default:
	}
}

// heartbeat asks for a sign of life. A ping fails when nobody reads, so while
// a frame is being handled, which back-pressure may make long, its failure says
// nothing about the peer.
func (c *conn) heartbeat(interval, timeout time.Duration) error {
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.ask:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
		before, busyBefore := c.handling.now()
		err := c.ping(c.ctx, timeout)
		after, busyAfter := c.handling.now()
		if err != nil && !busyBefore && !busyAfter && before == after {
			return err
		}
	}
}

// ping waits for a sign of life.
func (c *conn) ping(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.session.Ping(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("the connection is stale: no answer within %s: %w", timeout, err)
	}
	return err
}
