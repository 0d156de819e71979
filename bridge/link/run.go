package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/switchboard-dev/switchboard/connectors"
)

const (
	// stable is how long a connection must last to count as good.
	stable = 30 * time.Second
	// refusedMin and refusedMax bound the waits of the slow lane.
	refusedMin, refusedMax = 30 * time.Second, 5 * time.Minute
)

// lanes are the two ways to wait. Run's goroutine alone touches them.
type lanes struct{ normal, slow *backoff.ExponentialBackOff }

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

// once dials and serves one connection, and those that take its place. It
// returns why it ended, and the command that ended it, if one did.
func (l *Link) once(ctx context.Context) (command, error) {
	session, asked, err := l.dial(ctx)
	if session == nil {
		return asked, err
	}
	return l.serve(ctx, session)
}

var errAsked = errors.New("asked for")

// dial makes a session, or returns why there is none.
func (l *Link) dial(ctx context.Context) (connectors.Session, command, error) {
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
	for {
		select {
		case d := <-dial:
			return d.session, noCommand, d.err
		case c := <-l.commands:
			if c == connect {
				continue // that is what it does
			}
			cancel()
			if d := <-dial; d.err == nil {
				d.session.Close()
			}
			return nil, c, errAsked
		}
	}
}

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
	state, lane, refused := Disconnected, lanes.normal, errors.Is(failure, connectors.ErrRefused)
	if refused {
		state, lane = Error, lanes.slow
	}
	wait := lane.NextBackOff()
	l.set(state, failure.Error())
	l.o.Log.Warn("link is down", "state", state, "error", failure, "attempt", attempt, "again_in", wait.Round(time.Millisecond))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return "trying again after: " + failure.Error(), noCommand, nil
		case c := <-l.commands:
			return "", c, nil
		case <-l.woken:
			// A network that comes and goes does not make a backend accept a
			// token, and must not have it asked at each turn.
			if c := l.heard(); c == slept || c == network && !refused {
				return "", c, nil
			}
		case <-ctx.Done():
			return "", noCommand, context.Cause(ctx)
		}
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

// away waits for the command to connect again. It sleeps through all else.
func (l *Link) away(ctx context.Context) (command, error) {
	for {
		select {
		case c := <-l.commands:
			if c != disconnect {
				return c, nil
			}
			l.set(Disconnected, c.reason())
		case <-l.woken:
			l.heard()
		case <-ctx.Done():
			return noCommand, context.Cause(ctx)
		}
	}
}
