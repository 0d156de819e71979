package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// recycling is when a connection is due to be replaced. serve's goroutine alone
// touches it.
type recycling struct {
	every time.Duration
	timer *time.Timer
	retry *backoff.ExponentialBackOff
}

// retryMin and retryMax bound the waits after a replacement that failed; the
// connection that there is goes on.
const retryMin, retryMax = 5 * time.Minute, time.Hour

func newRecycling(every time.Duration) *recycling {
	r := &recycling{every: every, retry: &backoff.ExponentialBackOff{
		InitialInterval: min(retryMin, every), MaxInterval: min(retryMax, every), Multiplier: 2, RandomizationFactor: .1,
	}}
	r.timer = time.NewTimer(0)
	r.begin()
	return r
}

// begin counts from now, give or take a tenth: links that came up together do
// not go round together.
func (r *recycling) begin() {
	r.retry.Reset()
	if r.every < 0 {
		r.timer.Stop()
		return
	}
	r.timer.Reset(time.Duration(float64(r.every) * (.9 + .2*rand.Float64())))
}

// again tries again after a while, which it returns.
func (r *recycling) again() time.Duration {
	wait := r.retry.NextBackOff()
	r.timer.Reset(wait)
	return wait
}

// replacement is one that is under way. The zero value is none.
type replacement struct {
	stop context.CancelFunc
	done chan succession
}

// replace begins to replace a connection. frames is what frames are given with.
func (l *Link) replace(frames context.Context, c *conn) replacement {
	ctx, cancel := context.WithCancel(frames)
	r := replacement{cancel, make(chan succession, 1)}
	go func() { r.done <- l.succeed(ctx, frames, c) }()
	return r
}

// cancel ends what is under way, and returns what became of it.
func (r replacement) cancel() succession {
	if r.done == nil {
		return succession{}
	}
	r.stop()
	return <-r.done
}

// behind is how long the new connection has to carry what the old one carried
// last.
const behind = time.Second

// succession is what became of the replacement of a connection.
type succession struct {
	conn    *conn
	dropped int // frames that both had carried
	err     error
}

// errSucceeded is why a connection has ended that was replaced.
var errSucceeded = errors.New("a newer connection took its place")

// succeed makes the connection that takes the old one's place. When it returns
// it, the old one has ended, all that it carried has been given, and the rest is
// being given by the new one. With an error the old one goes on, or has ended
// for that. All ends with ctx; frames is what frames are given with.
func (l *Link) succeed(ctx, frames context.Context, old *conn) succession {
	old.gate.recorded(true)
	next, err := l.dialNext(ctx, frames, old)
	if err != nil {
		old.gate.recorded(false)
		return succession{err: err}
	}
	dropped, err := l.overlap(ctx, old, next)
	if err != nil {
		old.gate.recorded(false)
		l.sendBack(next, old)
		next.close(func() {})
		return succession{err: err}
	}
	next.giveKept(frames)
	return succession{conn: next, dropped: dropped}
}

// dialNext makes the new connection, which keeps what it carries. It gives up
// when the old one ends.
func (l *Link) dialNext(ctx, frames context.Context, old *conn) (*conn, error) {
	dialing, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(old.ctx, cancel)()
	session, err := l.o.Dialer.Dial(dialing)
	if err != nil {
		if old.ctx.Err() != nil {
			err = context.Cause(old.ctx)
		}
		return nil, err
	}
	next := newConn(frames, session, newGate(keeping, l.o.Frame))
	next.gate.recorded(true)
	next.start(frames, l.o.Heartbeat, l.o.HeartbeatTimeout)
	return next, nil
}

// overlap lets both go on for a while, ends the old one, and releases what the
// new one has kept. When the old one breaks, or the new one can keep no more, it
// does so at once.
func (l *Link) overlap(ctx context.Context, old, next *conn) (dropped int, err error) {
	w := waiting{ctx, old, next}
	if err := w.wait(l.o.Overlap/2, nil); err != nil {
		return 0, err
	}
	if err := w.prove(l.o.HeartbeatTimeout); err != nil {
		return 0, err
	}
	l.sendOver(next)
	if err := w.wait(l.o.Overlap/2, nil); err != nil {
		return 0, err
	}
	if err := w.catchUp(l.o.Overlap); err != nil {
		return 0, err
	}
	old.writing.Lock() // what was being sent over it has been sent
	_ = old.session.Close()
	old.writing.Unlock()
	select {
	case <-old.read:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	old.end(errSucceeded)
	old.working.Wait()
	if old.failure != nil {
		return 0, old.failure
	}
	carried := old.gate.recorded(false)
	if n := len(carried); n > 0 {
		// A new one that is behind has little by which to tell where it began.
		select {
		case <-next.gate.carries(carried[n-1]):
		case <-time.After(behind):
		case <-next.gate.full:
		case <-next.ctx.Done():
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	dropped, ok := next.gate.release(carried)
	if !ok {
		<-next.ctx.Done()
		return 0, context.Cause(next.ctx)
	}
	return dropped, nil
}

// waiting waits while two connections go on.
type waiting struct {
	ctx       context.Context
	old, next *conn
}

// hurried reports whether there is no time to wait.
func (w waiting) hurried() bool { return w.old.ctx.Err() != nil || closed(w.next.gate.full) }

// wait returns after the time, or when met is closed, or when there is a hurry;
// with an error, when there is no new connection any more.
func (w waiting) wait(d time.Duration, met <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-met:
	case <-w.next.gate.full:
	case <-w.old.ctx.Done():
	case <-w.next.ctx.Done():
	case <-w.ctx.Done():
	}
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.next.ctx.Err() != nil && w.old.ctx.Err() != nil:
		return context.Cause(w.old.ctx)
	case w.next.ctx.Err() != nil:
		return context.Cause(w.next.ctx)
	}
	return nil
}

// both is a context that ends with either connection, too.
func (w waiting) both() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(w.ctx)
	context.AfterFunc(w.old.ctx, cancel)
	context.AfterFunc(w.next.ctx, cancel)
	return ctx, cancel
}

// prove asks the new connection for a sign of life, unless there is a hurry.
func (w waiting) prove(timeout time.Duration) error {
	ctx, cancel := w.both()
	defer cancel()
	if w.hurried() {
		return nil
	}
	if err := w.next.ping(ctx, timeout); err != nil && !w.hurried() {
		return err
	}
	return w.wait(0, nil)
}

// catchUp waits until the old connection has carried what was said before the
// new one was open: what is still to be read of it, because we are slow, would be
// lost otherwise. A pong comes after all that was written before it; a backend
// that answers pings past a queue of its own is given time to carry what the new
// connection began with.
func (w waiting) catchUp(patience time.Duration) error {
	ctx, cancel := w.both()
	defer cancel()
	// It may take as long as we do. That nobody is there is for the heartbeat to
	// say; then the old connection ends.
	_ = w.old.session.Ping(ctx)
	if first, ok := w.next.gate.first(); ok && w.old.ctx.Err() == nil {
		return w.wait(patience, w.old.gate.carries(first))
	}
	return w.wait(0, nil)
}
