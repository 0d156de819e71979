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
// it stays away until told otherwise.
//
// Frames go to one function, one after the other, in the order of the socket.
// While that function blocks, the socket is not read: that is the back-pressure.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

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
	// since somebody asked to connect; 0 while connected.
	Attempt int `json:"attempt"`
	// Connections counts those that were made.
	Connections int `json:"connections"`
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
	// Changed hears of each new status; it must not block. nil: nobody does.
	Changed func(Status)
	// Initial and Max are the bounds of the backoff; default 1 s and 30 s.
	Initial, Max time.Duration
	// Attempts is after how many failed dials in a row to give up; 0: never.
	Attempts int
	// Heartbeat is the interval of the application's ping; default 30 s. The
	// socket itself is asked twice as often.
	Heartbeat time.Duration
	// HeartbeatTimeout is how long an answer may take; default 10 s.
	HeartbeatTimeout time.Duration
	Log              *slog.Logger
}

const (
	// stable is how long a connection must last to count as good.
	stable = 30 * time.Second
	// refusedMin and refusedMax bound the waits of the slow lane.
	refusedMin, refusedMax = 30 * time.Second, 5 * time.Minute
)

// Link is one account's connection. Its methods are safe for concurrent use.
type Link struct {
	o        Options
	commands chan command

	mu      sync.Mutex
	status  Status
	session connectors.Session // nil: not connected
	ready   chan struct{}      // closed while connected
}

type command int

const (
	connect command = iota
	disconnect
	reconnect
)

var commandNames = [...]string{"connect", "disconnect", "reconnect"}

// reason is what a state says that the command led to.
func (c command) reason() string { return commandNames[c] + " asked for" }

// New returns a link. It does nothing before Run.
func New(o Options) *Link {
	if o.Initial <= 0 {
		o.Initial = time.Second
	}
	if o.Max <= 0 {
		o.Max = 30 * time.Second
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 30 * time.Second
	}
	if o.HeartbeatTimeout <= 0 {
		o.HeartbeatTimeout = 10 * time.Second
	}
	if o.Changed == nil {
		o.Changed = func(Status) {}
	}
	return &Link{
		o: o, commands: make(chan command), ready: make(chan struct{}),
		status: Status{State: Disconnected, Reason: "not started", Since: time.Now()},
	}
}

// fullJitter waits between nothing and the interval, which doubles from
// initial to max.
func fullJitter(initial, max time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: initial / 2, MaxInterval: max / 2, Multiplier: 2, RandomizationFactor: 1,
	}
}

// slowLane waits between 30 s and 1 min, then twice as long, …, and never longer
// than 5 min.
func slowLane() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: refusedMin * 3 / 2, MaxInterval: refusedMax * 3 / 4, Multiplier: 2, RandomizationFactor: 1. / 3,
	}
}

// Run keeps the connection until ctx ends, and returns its cause, or the error
// of Options.Frame.
func (l *Link) Run(ctx context.Context) (err error) {
	defer func() { l.set(Disconnected, err.Error()) }()
	lanes := lanes{fullJitter(l.o.Initial, l.o.Max), slowLane()}
	reason := "starting"
	for {
		l.set(Connecting, reason)
		asked, err := l.once(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if broken, ok := errors.AsType[*frameError](err); ok {
			return broken.err
		}
		if asked == noCommand {
			if reason, asked, err = l.pause(ctx, lanes, err); err != nil {
				return err
			}
		}
		if asked == disconnect {
			l.set(Disconnected, asked.reason())
			if asked, err = l.away(ctx); err != nil {
				return err
			}
		}
		if asked != noCommand {
			reason = asked.reason()
			l.begin(lanes)
		}
	}
}

// lanes are the two ways to wait. Run's goroutine alone touches them.
type lanes struct{ normal, slow *backoff.ExponentialBackOff }

// pause waits, after a connection or a dial that ended with failure, until it
// is time to dial again, and returns the reason to do so, or the command that
// came first.
func (l *Link) pause(ctx context.Context, lanes lanes, failure error) (string, command, error) {
	was := l.Status()
	attempt := 0
	switch {
	case was.State != Connected:
		attempt = l.failed()
	case time.Since(was.Since) >= stable:
		l.begin(lanes)
	}
	if errors.Is(failure, connectors.ErrPermanent) || l.o.Attempts > 0 && attempt >= l.o.Attempts {
		l.set(Error, fmt.Sprintf("gave up after %d attempts: %v", attempt, failure))
		l.o.Log.Error("link gave up; `switchboard link connect` tries again", "attempts", attempt, "error", failure)
		c, err := l.away(ctx)
		return "", c, err
	}
	state, lane := Disconnected, lanes.normal
	if errors.Is(failure, connectors.ErrRefused) {
		state, lane = Error, lanes.slow
	}
	wait := lane.NextBackOff()
	l.set(state, failure.Error())
	l.o.Log.Warn("link is down", "state", state, "error", failure, "attempt", attempt, "again_in", wait.Round(time.Millisecond))
	select {
	case <-time.After(wait):
		return "trying again after: " + failure.Error(), noCommand, nil
	case c := <-l.commands:
		return "", c, nil
	case <-ctx.Done():
		return "", noCommand, context.Cause(ctx)
	}
}

// begin forgets what failed before.
func (l *Link) begin(lanes lanes) {
	lanes.normal.Reset()
	lanes.slow.Reset()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Attempt = 0
}

// away waits for the command to connect again.
func (l *Link) away(ctx context.Context) (command, error) {
	for {
		select {
		case c := <-l.commands:
			if c != disconnect {
				return c, nil
			}
			l.set(Disconnected, c.reason())
		case <-ctx.Done():
			return noCommand, context.Cause(ctx)
		}
	}
}

// noCommand is what once returns when nobody asked for the end.
const noCommand command = -1

// once dials and serves one connection. It returns why it ended, and the
// command that ended it, if one did.
func (l *Link) once(ctx context.Context) (command, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type dialed struct {
		session connectors.Session
		err     error
	}
	dial := make(chan dialed, 1)
	go func() {
		s, err := l.o.Dialer.Dial(ctx)
		dial <- dialed{s, err}
	}()
	var session connectors.Session
	for session == nil {
		select {
		case d := <-dial:
			if d.err != nil {
				return noCommand, d.err
			}
			session = d.session
		case c := <-l.commands:
			if c == connect {
				continue // that is what it does
			}
			cancel()
			if d := <-dial; d.err == nil {
				d.session.Close()
			}
			return c, errAsked
		}
	}

	l.connected(session)
	ended := make(chan error, 2)
	var handling handling
	var working sync.WaitGroup
	working.Go(func() { ended <- l.read(ctx, session, &handling) })
	working.Go(func() { ended <- l.heartbeat(ctx, session, &handling) })
	defer func() {
		l.lost(session) // nobody writes to what is being closed
		session.Close()
		cancel()
		working.Wait()
	}()
	for {
		select {
		case err := <-ended:
			return noCommand, err
		case c := <-l.commands:
			if c != connect {
				return c, errAsked
			}
		case <-ctx.Done():
			return noCommand, context.Cause(ctx)
		}
	}
}

var errAsked = errors.New("asked for")

// frameError is a failure of Options.Frame, and not of the connection.
type frameError struct{ err error }

func (e *frameError) Error() string { return e.err.Error() }

// handling tells the heartbeat whether it is we who are slow.
type handling struct {
	mu     sync.Mutex
	frames uint64 // handled so far
	busy   bool   // one is being handled
}

func (h *handling) begin() { h.mu.Lock(); h.busy = true; h.mu.Unlock() }
func (h *handling) end()   { h.mu.Lock(); h.busy = false; h.frames++; h.mu.Unlock() }

func (h *handling) now() (frames uint64, busy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.frames, h.busy
}

func (l *Link) read(ctx context.Context, s connectors.Session, h *handling) error {
	for {
		f, err := s.Receive(ctx)
		if err != nil {
			return err
		}
		h.begin()
		err = l.o.Frame(ctx, f)
		h.end()
		if err != nil && ctx.Err() == nil {
			return &frameError{err}
		}
	}
}

// heartbeat asks for a sign of life. A ping fails when nobody reads, so while
// a frame is being handled, which back-pressure may make long, its failure says
// nothing about the peer.
func (l *Link) heartbeat(ctx context.Context, s connectors.Session, h *handling) error {
	tick := time.NewTicker(l.o.Heartbeat / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		before, busyBefore := h.now()
		pinging, cancel := context.WithTimeout(ctx, l.o.HeartbeatTimeout)
		err := s.Ping(pinging)
		if err != nil && pinging.Err() != nil {
			err = fmt.Errorf("the connection is stale: no answer within %s: %w", l.o.HeartbeatTimeout, err)
		}
		cancel()
		after, busyAfter := h.now()
		if err != nil && !busyBefore && !busyAfter && before == after {
			return err
		}
	}
}

// Send writes an action to the backend, or fails with [ErrNotConnected]. After
// a write that failed there is no connection for it, while what the backend
// said before is still read: one such failure is unclear, and not a row of them.
func (l *Link) Send(ctx context.Context, a event.Action, ref string) error {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s == nil {
		return ErrNotConnected
	}
	err := s.Send(ctx, a, ref)
	if err != nil && ctx.Err() == nil && !errors.Is(err, connectors.ErrPermanent) {
		l.lost(s)
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

func (l *Link) connected(s connectors.Session) {
	l.mu.Lock()
	l.session = s
	close(l.ready)
	l.status.Connections++
	l.status.Attempt = 0
	l.mu.Unlock()
	l.set(Connected, "the backend accepted the connection")
	l.o.Log.Info("link is up")
}

// lost keeps actions from being written to the session.
func (l *Link) lost(s connectors.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == s {
		l.session, l.ready = nil, make(chan struct{})
	}
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
