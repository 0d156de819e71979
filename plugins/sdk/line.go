package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	// maxBatch bounds how many outcomes go in one message.
	maxBatch = 64
	// maxPongs is how many pings may be answered at once; more come only where
	// the host does not read.
	maxPongs = 8
	// maxTyping is how many typing events may wait for a slow handler.
	maxTyping = 64
)

// line is one connection. One goroutine writes, one reads and waits for
// nothing, and each delivery under way has one of its own: the host bounds how
// many there are.
type line struct {
	host      *Host
	feeds     map[string]*feed
	timers    Handler
	log       *slog.Logger
	health    *health
	drainHook func(context.Context)

	outcomes chan *pluginv1.Outcome
	requests chan *pluginv1.FromPlugin
	pongs    chan *pluginv1.Pong
	typing   chan event.Event

	working sync.WaitGroup // handlers, and the plugin's Drain
}

// run writes until the line is drained, which is nil, or breaks.
func (l *line) run(ctx context.Context, stream pluginv1.Plugin_ConnectServer) error {
	drain, broke := make(chan struct{}), make(chan error, 1)
	go l.live(ctx)
	go func() { broke <- l.receive(ctx, stream, drain) }()
	count := time.NewTicker(countEvery)
	defer count.Stop()
	var done chan struct{} // closed when the last handler has ended
	for {
		var msg *pluginv1.FromPlugin
		select {
		case out := <-l.outcomes:
			msg = l.batch(out)
		case msg = <-l.requests:
		case pong := <-l.pongs:
			msg = &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: pong}}
		case <-count.C:
			if msg = l.host.counts.take(); msg == nil {
				continue
			}
		case <-drain:
			drain, done = nil, make(chan struct{})
			go func() { l.working.Wait(); close(done) }()
			continue
		case <-done:
			return l.last(stream)
		case err := <-broke:
			return err
		}
		if err := stream.Send(msg); err != nil {
			return fmt.Errorf("write to the host: %w", err)
		}
	}
}

// last sends what is left to be told when nothing is in hand any more.
func (l *line) last(stream pluginv1.Plugin_ConnectServer) error {
	for {
		select {
		case out := <-l.outcomes:
			if err := stream.Send(l.batch(out)); err != nil {
				return fmt.Errorf("write to the host: %w", err)
			}
			continue
		default:
		}
		if msg := l.host.counts.take(); msg != nil {
			if err := stream.Send(msg); err != nil {
				return fmt.Errorf("write to the host: %w", err)
			}
		}
		return nil
	}
}

// batch takes what is ready beside the first; it waits for nothing.
func (l *line) batch(first *pluginv1.Outcome) *pluginv1.FromPlugin {
	list := []*pluginv1.Outcome{first}
	for len(list) < maxBatch {
		select {
		case out := <-l.outcomes:
			list = append(list, out)
			continue
		default:
		}
		break
	}
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Outcomes{Outcomes: &pluginv1.Outcomes{Outcomes: list}}}
}

// receive reads until the line ends, and closes drain when the host asks for
// an end: answers to what is still asked come until then.
func (l *line) receive(ctx context.Context, stream pluginv1.Plugin_ConnectServer, drain chan struct{}) error {
	work := make(chan *pluginv1.Delivery)
	draining := false
	defer func() {
		if !draining {
			close(work)
		}
	}()
	for {
		msg, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the host ended the line")
		}
		if err != nil {
			return fmt.Errorf("the line to the host broke: %w", err)
		}
		switch m := msg.GetMessage().(type) {
		case *pluginv1.FromHost_Deliveries:
			if draining {
				continue // the host has them again
			}
			for _, d := range m.Deliveries.GetDeliveries() {
				select {
				case work <- d: // to one that has worked before, whose stack has grown
				default:
					l.working.Go(func() { l.work(ctx, d, work) })
				}
			}
		case *pluginv1.FromHost_Live:
			select {
			case l.typing <- m.Live.GetEvent().ToEvent():
			default: // too slow for it, and worth nothing later
			}
		case *pluginv1.FromHost_Answer:
			l.host.answered(m.Answer)
		case *pluginv1.FromHost_Ping:
			select {
			case l.pongs <- &pluginv1.Pong{Number: m.Ping.GetNumber(), Unhealthy: l.health.ask(ctx)}:
			default:
			}
		case *pluginv1.FromHost_Drain:
			if draining {
				continue
			}
			draining = true
			close(work)
			if l.drainHook != nil {
				l.working.Go(func() {
					var failed error
					defer recovered(l.log, &failed)
					l.drainHook(ctx)
				})
			}
			close(drain)
		}
	}
}

// work handles a delivery and gives its outcome, and then those that come while
// it has nothing to do.
func (l *line) work(ctx context.Context, d *pluginv1.Delivery, more <-chan *pluginv1.Delivery) {
	for d != nil {
		out := outcome(d.GetId(), l.deliver(ctx, d))
		select {
		case l.outcomes <- out:
		case <-ctx.Done():
			return
		}
		d = <-more // nil: no more will come
	}
}

func (l *line) deliver(ctx context.Context, in *pluginv1.Delivery) (err error) {
	d := newDelivery(in, l.host, l.log)
	handler, timeout := l.timers, handlerTimeout
	if d.Timer == nil {
		feed := l.feeds[in.GetFeed()]
		if feed == nil {
			return Reject(fmt.Errorf("no feed %q was declared", in.GetFeed()))
		}
		handler, timeout = feed.handler, feed.timeout
	}
	ctx, cancel := context.WithTimeoutCause(context.WithValue(ctx, deliveryKey{}, d), timeout, errTimeout)
	defer cancel()
	defer recovered(d.Log, &err)
	err = handler(ctx, d)
	if errors.Is(err, context.DeadlineExceeded) && context.Cause(ctx) == errTimeout {
		err = fmt.Errorf("not done after %s, the time that the feed has: %w", timeout, err)
	}
	return err
}

// errTimeout is what ends the context of a handler that takes too long.
var errTimeout = fmt.Errorf("the handler's time is over: %w", context.DeadlineExceeded)

// live hands typing events on, one after the other, beside all else: a handler
// that takes its time or asks the host something must not keep the line from
// being read.
func (l *line) live(ctx context.Context) {
	for {
		select {
		case e := <-l.typing:
			for _, f := range l.feeds {
				if f.Handlers.OnTyping != nil {
					l.onTyping(ctx, f, e)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

func (l *line) onTyping(ctx context.Context, f *feed, e event.Event) {
	v, err := e.Decode()
	if err != nil {
		return
	}
	var failed error
	defer recovered(l.log, &failed)
	f.Handlers.OnTyping(ctx, e, v.(event.Typing))
}

// recovered turns a panic of a handler into an error: one event that a plugin
// stumbles over must not take the others with it.
func recovered(log *slog.Logger, err *error) {
	if p := recover(); p != nil {
		log.Error("handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = fmt.Errorf("handler panicked: %v", p)
	}
}
