package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// puller pulls from one of a feed's consumers. All that comes by a pull is
// handed out, so that nothing waits here until it comes again.
type puller struct {
	consumer  jetstream.Consumer
	stream    jetstream.Stream
	heartbeat time.Duration
	batch     jetstream.MessageBatch // the open pull; nil: there is none
	pause     <-chan time.Time       // after a pull that failed; nil: there is none
}

// open pulls up to n, where no pull is open.
func (p *puller) open(f *Feed, n int) error {
	if p == nil || p.batch != nil || p.pause != nil || n <= 0 {
		return nil
	}
	var err error
	if p.batch, err = p.consumer.Fetch(n, jetstream.FetchContext(f.closed), jetstream.FetchHeartbeat(p.heartbeat)); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	return nil
}

// messages are those of the open pull.
func (p *puller) messages() <-chan jetstream.Msg {
	if p == nil || p.batch == nil {
		return nil
	}
	return p.batch.Messages()
}

// paused tells when to pull again after a failure.
func (p *puller) paused() <-chan time.Time {
	if p == nil {
		return nil
	}
	return p.pause
}

// over ends a pull that is at its end.
func (p *puller) over(f *Feed) error {
	err := p.batch.Error()
	p.batch = nil
	switch {
	case err == nil:
	case f.closed.Err() != nil, errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("pull: %w", err)
	default: // the server is away, or another one leads: it comes back
		p.pause = time.After(pullAgain)
	}
	return nil
}

// next waits for the next message of either, and pulls where no pull is open.
func (f *Feed) next(ctx context.Context) (msg jetstream.Msg, again bool, err error) {
	for {
		f.mu.Lock()
		n := min(f.allowed, pull)
		f.mu.Unlock()
		if err := errors.Join(f.events.open(f, n), f.again.open(f, heldAgain)); err != nil {
			return nil, false, err
		}
		from, open := f.events, false
		select {
		case msg, open = <-f.events.messages():
		case msg, open = <-f.again.messages():
			from = f.again
		case <-f.events.paused():
			f.events.pause = nil
			continue
		case <-f.again.paused():
			f.again.pause = nil
			continue
		case <-f.more:
			continue
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		if open {
			f.mu.Lock()
			f.allowed--
			f.mu.Unlock()
			return msg, from == f.again, nil
		}
		if err := from.over(f); err != nil {
			return nil, false, err
		}
	}
}

// Close ends the feed, when Next has returned. Its position stays.
func (f *Feed) Close() {
	f.close()
	for _, p := range []*puller{f.events, f.again} {
		for p != nil && p.batch != nil {
			if _, open := <-p.batch.Messages(); !open {
				p.batch = nil
			}
		}
	}
}
