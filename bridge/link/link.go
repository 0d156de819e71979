// Package link keeps one account's connection alive.
//
//	connecting ──▶ connected ──▶ disconnected ──▶ connecting …
//	     │              └─ refused ─▶ error ─▶ connecting, slowly
//	     └─ refused, or out of attempts ─▶ error
//
// One goroutine owns the connection and its state; every change of state has a
// reason and a time. After an unexpected end it connects again: after 1 s, 2 s,
// 4 s, … up to the maximum, each with full jitter, beginning anew once a
// connection has been stable for 30 s. Refused credentials are tried again in a
// slow lane of 30 s to 5 min, with the token read anew. After [Link.Disconnect]
// it stays away until told otherwise. [Link.Wake] tells it that the machine
// slept or that its network came back; the package wake finds that out.
//
// Frames go to one function, one after the other, in the order of the socket.
// While that function blocks, the socket is not read: that is the back-pressure.
// [Options].Changed has returned from hearing of a connection before the first
// frame of it is given to that function.
//
// # Recycling
//
// A socket that looks healthy can have gone deaf: Django Channels drops it from
// its group after a day, and goes on answering its pings. So a connection is
// replaced about every 12 h, make before break:
//
//	old  ──f1──f2──f3──f4──f5──┐ closed            given: f1 … f5 of the old one
//	new        ┌─(f3──f4──f5──f6)──f7──▶           then f6, f7 … of the new one
//
// While both are open the frames of the old one are given and those of the new
// one are kept; at the switch what both have carried falls out of what was kept,
// each frame once for each time that the old one carried it, by its bytes. What
// is left is given, and then the new one is read live. Where the backend tells
// both sockets the same in the same order, no frame is lost and none is given
// twice. Actions go over the new one from the middle of the overlap on, so that
// what the backend answers to the last ones of the old is still read there. The
// state stays connected throughout. Because the old one may have been deaf, a
// comparison by REST is due after it: [Options].Recycled says when.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link/wake"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// State is where a link stands.
type State string

// The states of a link.
const (
	Connecting   State = "connecting"
	Connected    State = "connected"
	Disconnected State = "disconnected"
	Error        State = "error"
)

// Status is a link's state with its reason.
type Status struct {
	State State `json:"state"`
	// Reason says what led to the state.
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	// Attempt counts the dials that have failed since the last connection, or
	// since somebody asked to connect, or since the machine or its network woke;
	// 0 while connected.
	Attempt int `json:"attempt"`
	// Connections counts those that were made, without those that took the place
	// of a healthy one: Recycled counts these.
	Connections int `json:"connections"`
	Recycled    int `json:"recycled"`
}

// ErrNotConnected is returned by Send while there is no connection. Nothing
// was written.
var ErrNotConnected = errors.New("not connected to the backend")

// Options are what a link is made of. A zero duration is its default.
type Options struct {
	Dialer connectors.Dialer
	// Frame takes each frame. When it fails, which is for a bug or the end of
	// ctx, so does Run.
	Frame func(context.Context, connectors.Frame) error
	// Changed hears of each new status; it must not block. nil: nobody does. Of
	// Connected it hears before Frame gets anything of that connection.
	Changed func(Status)
	// Recycled is called when a connection has taken the place of a healthy one,
	// of which Changed hears nothing; it must not block. nil: nobody is.
	Recycled func()
	// Initial and Max are the bounds of the backoff; default 1 s and 30 s.
	Initial, Max time.Duration
	// Attempts is after how many failed dials in a row to give up; 0: never.
	Attempts int
	// Heartbeat is the interval of the application's ping; default 30 s. The
	// socket itself is asked twice as often.
	Heartbeat time.Duration
	// HeartbeatTimeout is how long an answer may take; default 10 s.
	HeartbeatTimeout time.Duration
	// Recycle is how long a connection lasts, give or take a tenth, before
	// another takes its place; default 12 h, negative: as long as it holds.
	Recycle time.Duration
	// Overlap is how long both are open then; default 5 s.
	Overlap time.Duration
	Log     *slog.Logger
}

// Link is one account's connection. Its methods are safe for concurrent use.
type Link struct {
	o        Options
	commands chan command
	woken    chan struct{} // there is something in wakes

	mu     sync.Mutex
	status Status
	out    *conn         // what actions are written to; nil: not connected
	ready  chan struct{} // closed while there is one
	wakes  wake.Reason   // what Wake said last; empty: it has been heard
}

// New returns a link. It does nothing before Run.
func New(o Options) *Link {
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	def(&o.Initial, time.Second)
	def(&o.Max, 30*time.Second)
	def(&o.Heartbeat, 30*time.Second)
	def(&o.HeartbeatTimeout, 10*time.Second)
	def(&o.Overlap, 5*time.Second)
	if o.Recycle == 0 {
		o.Recycle = 12 * time.Hour
	}
	if o.Changed == nil {
		o.Changed = func(Status) {}
	}
	if o.Recycled == nil {
		o.Recycled = func() {}
	}
	return &Link{
		o: o, commands: make(chan command), woken: make(chan struct{}, 1), ready: make(chan struct{}),
		status: Status{State: Disconnected, Reason: "not started", Since: time.Now()},
	}
}

// Send writes an action to the backend, or fails with [ErrNotConnected]. After
// a write that failed there is no connection for it, while what the backend
// said before is still read: one such failure is unclear, and not a row of them.
func (l *Link) Send(ctx context.Context, a event.Action, ref string) error {
	l.mu.Lock()
	c := l.out
	if c == nil {
		l.mu.Unlock()
		return ErrNotConnected
	}
	// It is not closed for a newer one before this is written. The lock is
	// free: nobody wants it alone while actions go to this connection.
	c.writing.RLock()
	l.mu.Unlock()
	defer c.writing.RUnlock()
	err := c.session.Send(ctx, a, ref)
	if err != nil && ctx.Err() == nil && !errors.Is(err, connectors.ErrPermanent) {
		l.lost(c)
	}
	return err
}

// Ready waits until there is a connection, or ctx ends.
func (l *Link) Ready(ctx context.Context) error {
	for {
		l.mu.Lock()
		ready := l.ready
		l.mu.Unlock()
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Status is how the link stands now.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// command is what makes a link do something else than it would.
type command int

const (
	// noCommand is that nobody asked.
	noCommand command = iota
	connect
	disconnect
	reconnect
	slept
	network
)

var commandNames = [...]string{connect: "connect", disconnect: "disconnect", reconnect: "reconnect"}

// reason is what a state says that the command led to.
func (c command) reason() string {
	switch c {
	case slept:
		return string(wake.Slept)
	case network:
		return string(wake.Network)
	}
	return commandNames[c] + " asked for"
}

// Connect connects at once, where the link is away or waiting.
func (l *Link) Connect(ctx context.Context) error { return l.command(ctx, connect) }

// Disconnect ends the connection; it stays away until Connect or Reconnect.
func (l *Link) Disconnect(ctx context.Context) error { return l.command(ctx, disconnect) }

// Reconnect ends the connection, if there is one, and makes a new one at once.
func (l *Link) Reconnect(ctx context.Context) error { return l.command(ctx, reconnect) }

func (l *Link) command(ctx context.Context, c command) error {
	if c == connect && l.Status().State == Connected {
		return nil
	}
	select {
	case l.commands <- c:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", commandNames[c], context.Cause(ctx))
	}
}

// sendOver has actions written to the connection from now on.
func (l *Link) sendOver(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		close(l.ready)
	}
	l.out = c
}

// lost keeps actions from being written to the connection.
func (l *Link) lost(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.unwritable = true
	if l.out == c {
		l.out, l.ready = nil, make(chan struct{})
	}
}

// sendBack is lost, and has actions written to another connection again, where
// that can be.
func (l *Link) sendBack(from, to *conn) {
	l.mu.Lock()
	was, can := l.out == from, !to.unwritable && to.ctx.Err() == nil
	l.mu.Unlock()
	if was && can {
		l.sendOver(to)
	}
	l.lost(from)
}

// connected says that there is a connection. Changed hears of it before
// anything is read off it.
func (l *Link) connected(c *conn) {
	l.sendOver(c)
	l.mu.Lock()
	l.status.Connections++
	l.status.Attempt = 0
	l.mu.Unlock()
	l.set(Connected, "the backend accepted the connection")
	l.o.Log.Info("link is up")
}

// recycled says that another connection has taken the place of c.
func (l *Link) recycled(c *conn, s succession) {
	l.mu.Lock()
	l.status.Recycled++
	l.mu.Unlock()
	l.o.Log.Info("a new connection took the place of the old one",
		"lasted", time.Since(c.since).Round(time.Second), "frames_of_both", s.dropped)
	l.o.Recycled()
}

// failed counts a failed attempt.
func (l *Link) failed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Attempt++
	return l.status.Attempt
}

func (l *Link) set(s State, reason string) {
	l.mu.Lock()
	l.status.State, l.status.Reason, l.status.Since = s, reason, time.Now()
	status := l.status
	l.mu.Unlock()
	l.o.Changed(status)
}
