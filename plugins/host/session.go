package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// session is one process of a plugin, from its start to its end.
type session struct {
	spec Spec
	// stop has it drained and ended, for a reason.
	stop context.CancelCauseFunc
	// ready is closed when it is configured, up when it is connected and fed,
	// and ended when nothing is left of it; err says why, then.
	ready, up, ended chan struct{}
	err              error
	// feed is closed by the owner: from now on the plugin is this one.
	feed chan struct{}
}

// begin starts a session. Where it is to take over from another, its stats are
// that other's until feed is closed.
func begin(ctx context.Context, spec Spec, start launcher, o Options, stats *Stats, takesOver bool) *session {
	ctx, stop := context.WithCancelCause(ctx)
	s := &session{
		spec: spec, stop: stop,
		ready: make(chan struct{}), up: make(chan struct{}), ended: make(chan struct{}), feed: make(chan struct{}),
	}
	if !takesOver {
		close(s.feed)
	}
	go func() {
		defer close(s.ended)
		defer stop(nil)
		s.err = s.run(ctx, start, o, stats, takesOver)
	}()
	return s
}

func (s *session) run(ctx context.Context, start launcher, o Options, stats *Stats, takesOver bool) error {
	p, err := start(ctx, s.spec, o.Log)
	if err != nil {
		return err
	}
	// A plugin that has ended by now is gone at once, however ctx stands.
	defer p.stop(context.WithoutCancel(ctx))
	if !takesOver {
		stats.started(p.pid)
	}
	manifest, configured, err := Configure(ctx, p.client, s.spec)
	if err != nil {
		return exitReason(p, err)
	}
	close(s.ready)
	select {
	case <-s.feed:
	case <-p.exited:
		return fmt.Errorf("its process %w", p.exit())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	stats.described(manifest)
	stats.started(p.pid)
	return s.serve(ctx, p, configured, o, stats)
}

// serve feeds the plugin until ctx ends, or it does.
func (s *session) serve(ctx context.Context, p *launched, configured *pluginv1.ConfigureResponse, o Options, stats *Stats) error {
	// The line knows of the process's end before its socket does.
	running, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	ended := make(chan error, 1)
	go func() {
		ended <- connect(running, p.client, s.spec, configured, o, stats, func() { close(s.up) })
	}()
	select {
	case err := <-ended:
		return exitReason(p, err)
	case <-p.exited:
		cut(errLineOver)
		<-ended
		return fmt.Errorf("its process %w", p.exit())
	}
}

// exitReason prefers how the process ended to the broken line that followed.
func exitReason(p *launched, err error) error {
	if err == nil {
		return nil
	}
	if refusal, ours := (*Refusal)(nil), (*ourFault)(nil); errors.As(err, &refusal) || errors.As(err, &ours) {
		return err
	}
	select {
	case <-p.exited:
		return fmt.Errorf("its process %w", p.exit())
	case <-time.After(exitGrace):
		return err
	}
}

// exitGrace is how long a process whose line broke has to be seen to be gone. On
// a busy machine its sockets are closed well before it is reaped.
const exitGrace = time.Second

// ourFault is an error that no plugin is to be blamed for.
type ourFault struct{ error }

func (e *ourFault) Unwrap() error { return e.error }

// ourFeed is a feed whose failure is our fault.
type ourFeed struct{ feed.Source }

func (f ourFeed) Next(ctx context.Context) (feed.Delivery, error) {
	d, err := f.Source.Next(ctx)
	if err != nil {
		return nil, &ourFault{err}
	}
	return d, nil
}
