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
	stop      context.CancelFunc     // ends the open pull
	pause     <-chan time.Time       // after a pull that failed; nil: there is none
	last      uint64                 // the consumer's number of what came last; 0: any may follow
	lost      bool                   // something was, and the consumer is to be reset
}

// open pulls up to n, where no pull is open.
func (p *puller) open(f *Feed, n int) error {
	if p == nil || p.batch != nil || p.pause != nil || n <= 0 {
		return nil
	}
	ctx, stop := context.WithCancel(f.closed)
	batch, err := p.consumer.Fetch(n, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(p.heartbeat))
	if err != nil {
		stop()
		return fmt.Errorf("pull: %w", err)
	}
	p.batch, p.stop = batch, stop
	return nil
}

// follows reports whether nothing is missing before the message of that number
// of the consumer's. A pull that
// ends for want of heartbeats, as after the machine stood still, throws away
// what was on its way. That would come again after ackWait, when later events
// of its conversation had long been delivered.
func (p *puller) follows(sequence uint64) bool {
	follows := p.last == 0 || sequence <= p.last+1
	p.last = sequence
	return follows
}

// goBack throws the open pull away. After the pause, when nothing more comes by
// it, the consumer begins anew with the first that is not acknowledged.
func (p *puller) goBack() {
	p.stop()
	p.batch, p.last, p.lost, p.pause = nil, 0, true, time.After(pullAgain)
}

// resume ends a pause.
func (p *puller) resume(ctx context.Context, f *Feed) error {
	p.pause = nil
	if !p.lost || !resetConsumers {
		return nil
	}
	consumer := p.consumer.CachedInfo()
	f.bus.log.Warn("deliveries were lost on their way: the feed goes back to the first that is not acknowledged", "consumer", consumer.Name)
	if _, err := f.bus.js.ResetConsumer(ctx, consumer.Stream, consumer.Name); err != nil {
		return fmt.Errorf("reset consumer %s: %w", consumer.Name, err)
	}
	p.lost = false
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
	p.stop()
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

// next waits for the next message of either, with its place in its stream, and pulls where no pull is open.
func (f *Feed) next(ctx context.Context) (msg jetstream.Msg, sequence uint64, again bool, err error) {
	for {
		f.mu.Lock()
		n := min(f.allowed, pull)
		f.mu.Unlock()
		if err := errors.Join(f.events.open(f, n), f.again.open(f, heldAgain)); err != nil {
			return nil, 0, false, err
		}
		from, open := f.events, false
		select {
		case msg, open = <-f.events.messages():
		case msg, open = <-f.again.messages():
			from = f.again
		case <-f.events.paused():
			if err := f.events.resume(ctx, f); err != nil {
				return nil, 0, false, err
			}
			continue
		case <-f.again.paused():
			if err := f.again.resume(ctx, f); err != nil {
				return nil, 0, false, err
			}
			continue
		case <-f.more:
			continue
		case <-ctx.Done():
			return nil, 0, false, context.Cause(ctx)
		}
		if open {
			meta, err := msg.Metadata()
			if err != nil {
				return nil, 0, false, fmt.Errorf("read a message's metadata: %w", err)
			}
			if !from.follows(meta.Sequence.Consumer) {
				from.goBack()
				continue
			}
			f.mu.Lock()
			f.allowed--
			f.mu.Unlock()
			return msg, meta.Sequence.Stream, from == f.again, nil
		}
		if err := from.over(f); err != nil {
			return nil, 0, false, err
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
