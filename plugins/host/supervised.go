package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/process"
)

// supervised is one plugin: a state machine with one owner, the goroutine in
// run. Others see its stats, and send it commands.
//
//	   ┌──── its process ended: after a wait ────┐
//	   ▼                                         │
//	starting ─▶ running ─▶ (drains, ends) ─▶ waiting ─▶ crashlooping
//	   │  ▲        │                                        │
//	   ▼  └────────┼───────────── restart, new spec ◀───────┤
//	refused        └─ pause ─▶ paused ─ resume ─▶ starting  │
//	   └────────────────────────────────────────────────────┘
//
// With a new spec it starts a second session beside the one that runs. When
// that is configured the first is drained and ended, and only then the second
// is fed: no event is inside both.
type supervised struct {
	name     string
	start    launcher
	o        Options
	stats    *Stats
	logs     *ring
	log      *slog.Logger
	commands chan command
	over     chan struct{} // closed when run has returned
	inForce  atomic.Pointer[Spec]

	// What follows belongs to run.
	ctx      context.Context
	current  *session  // nil: none
	next     *session  // is to take over from current; nil: none
	handover *command  // the one that next was started for
	then     func()    // what comes when current has ended; nil: nobody asked for its end
	asked    []command // to be answered when it runs, or does not
	restarts *restarts
	again    *time.Timer // to start it again; nil: it is not waited for
	state    State
}

// command is something that an operator wants of a plugin.
type command struct {
	do   func(*supervised, command)
	spec Spec // of a new configuration
	// answer gets one error, nil for done.
	answer chan error
}

var (
	errRestarted = errors.New("restarted by the operator")
	errPaused    = errors.New("paused by the operator")
	errReplaced  = errors.New("replaced, as its configuration changed")
	errRemoved   = errors.New("removed from the configuration")
	// ErrStopped says that the host, or that plugin of it, has stopped.
	ErrStopped = errors.New("the host has stopped it")
)

func supervise(spec Spec, o Options, start launcher) *supervised {
	s := &supervised{
		name: spec.Name, start: start, o: o, stats: &Stats{}, logs: &ring{},
		commands: make(chan command), over: make(chan struct{}), restarts: newRestarts(),
	}
	s.o.Log = slog.New(slog.NewMultiHandler(o.Log.Handler(), s.logs.handler()))
	s.log = s.o.Log.With("plugin", s.name)
	s.inForce.Store(&spec)
	s.set(Waiting, "not started")
	return s
}

// ask has the owner carry out a command, and waits until it is done.
func (s *supervised) ask(ctx context.Context, c command) error {
	c.answer = make(chan error, 1)
	select {
	case s.commands <- c:
	case <-s.over:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-c.answer:
		return err
	case <-s.over:
		select {
		case err := <-c.answer:
			return err
		default:
			return ErrStopped
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run is the owner. It returns when ctx has ended, or the plugin was removed,
// and nothing of it is left.
func (s *supervised) run(ctx context.Context) {
	defer close(s.over)
	s.ctx = ctx
	s.begin()
	for s.state != Stopped {
		commands := s.commands
		if s.next != nil || s.then != nil {
			commands = nil // one thing after the other; both are bounded
		}
		select {
		case <-ctx.Done():
			s.end(ctx)
		case c := <-commands:
			c.do(s, c)
		case <-up(s.current, s.state):
			s.state = Running
			s.answer(nil)
		case <-gone(s.current):
			s.ended(s.current.err)
		case <-configured(s.next, s.then):
			s.takeOver()
		case <-unready(s.next, s.then):
			s.refused(s.next.err)
		case <-due(s.again):
			s.again = nil
			s.begin()
		}
	}
}

// The channels of what is not there are nil, and nothing comes from them.

func up(s *session, now State) <-chan struct{} {
	if s == nil || now == Running {
		return nil
	}
	return s.up
}

func gone(s *session) <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.ended
}

func configured(s *session, then func()) <-chan struct{} {
	if s == nil || then != nil {
		return nil
	}
	return s.ready
}

// unready is for a next session that ends before it could take over. Later it
// is found to have ended when it has.
func unready(s *session, then func()) <-chan struct{} {
	if then != nil {
		return nil
	}
	return gone(s)
}

func due(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

func (s *supervised) set(state State, reason string) {
	s.state = state
	s.stats.set(state, reason)
}

// begin starts the plugin, which does not run.
func (s *supervised) begin() {
	s.set(Starting, "")
	s.current = begin(s.ctx, *s.inForce.Load(), s.start, s.o, s.stats, false)
}

// end stops all that there is, at once.
func (s *supervised) end(ctx context.Context) {
	s.wait(0)
	for _, one := range []*session{s.next, s.current} { // they have heard of ctx already
		if one != nil {
			<-one.ended
		}
	}
	if s.current != nil {
		s.gone()
	}
	s.set(Stopped, context.Cause(ctx).Error())
}

// wait has the plugin started again after d; 0: not at all.
func (s *supervised) wait(d time.Duration) {
	if s.again != nil {
		s.again.Stop()
		s.again = nil
	}
	if d > 0 {
		s.again = time.NewTimer(d)
	}
}

// gone tells that the current session has come to its end.
func (s *supervised) gone() {
	s.current = nil
	if s.o.Ended != nil {
		s.o.Ended(s.name)
	}
}

// ended deals with the end of the current session, asked for or not.
func (s *supervised) ended(err error) {
	s.gone()
	if s.then != nil {
		then := s.then
		s.then = nil
		then()
		return
	}
	if s.ctx.Err() != nil { // not the plugin's doing
		return
	}
	if err == nil {
		err = errLineOver
	}
	ran := s.stats.over(err.Error())
	if final(err) {
		s.set(Refused, err.Error())
		s.log.Error("plugin is not run", "error", err)
		s.answer(err)
		return
	}
	ours := (*ourFault)(nil)
	d, looping := s.restarts.ended(time.Now(), ran, !errors.As(err, &ours))
	switch {
	case looping:
		s.set(CrashLooping, fmt.Sprintf("ended %d times within %.0f minutes: %s", maxCrashes, crashWindow.Minutes(), err))
		s.log.Error("plugin is set aside: it crashed too often; `switchboard plugins restart "+s.name+"` or another configuration brings it back",
			"crashes", maxCrashes, "within", crashWindow, "error", err)
	case s.next != nil: // which takes its place, or has it started again
		s.set(Waiting, err.Error())
	default:
		s.set(Waiting, err.Error())
		s.wait(d)
		s.log.Warn("plugin ended; it is started again", "error", err, "again_in", d.Round(time.Millisecond))
	}
	s.answer(err)
}

// final reports whether starting the same again cannot help.
func final(err error) bool {
	refusal, sum := (*Refusal)(nil), (*process.ChecksumError)(nil)
	return errors.As(err, &refusal) || errors.As(err, &sum)
}

// answer tells who asked what became of it.
func (s *supervised) answer(err error) {
	for _, c := range s.asked {
		c.answer <- err
	}
	s.asked = nil
}
