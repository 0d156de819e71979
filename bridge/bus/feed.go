package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ackWait is after how long a delivery comes again that is neither
// acknowledged nor held.
const ackWait = 30 * time.Second

const (
	// prefetch is how many messages a reader of a stream has ready.
	prefetch = 500
	// pull is how many events are asked of the server at once.
	pull = 1024
	// heartbeat is how often the server says that it keeps a pull open.
	heartbeat = time.Second
	// pullAgain is how long it is waited after a pull that failed.
	pullAgain = 100 * time.Millisecond
)

// FeedSpec says which events a feed has.
type FeedSpec struct {
	// Owner and Name make the durable consumer's name.
	Owner, Name string
	Accounts    []string
	Events      []event.Pattern
	// Held is how many deliveries may come before more are requested.
	Held int
	// Parked is how many may be out at once, neither acknowledged nor dead; 0:
	// as many as Held.
	Parked int
}

// Feed is a durable consumer of events. One goroutine calls Next.
type Feed struct {
	bus      *Bus
	owner    string
	consumer jetstream.Consumer // nil: it has no events
	stream   jetstream.Stream
	wants    func(event.Event) bool // nil: the server sees to it
	closed   context.Context
	close    context.CancelFunc
	batch    jetstream.MessageBatch // the open pull; nil: there is none

	mu      sync.Mutex
	allowed int           // how many may still be pulled
	more    chan struct{} // has one after Request
}

// OpenFeed opens a feed from where it stood. A new one begins with what is
// published after this bus was opened. What was delivered and not acknowledged
// before comes first, in order: a restart must not let later events overtake.
func (b *Bus) OpenFeed(ctx context.Context, spec FeedSpec) (*Feed, error) {
	f := &Feed{bus: b, owner: spec.Owner, allowed: spec.Held, more: make(chan struct{}, 1)}
	f.closed, f.close = context.WithCancel(context.WithoutCancel(ctx))
	filter := b.subjects.stored(spec.Accounts, spec.Events)
	if len(filter) == 0 {
		return f, nil
	}
	name := spec.Owner + "_" + spec.Name
	var err error
	if f.stream, err = b.js.Stream(ctx, b.streams.events); err != nil {
		return nil, fmt.Errorf("look at stream %s: %w", b.streams.events, err)
	}
	held := max(spec.Held, spec.Parked)
	if f.consumer, err = b.eventsConsumer(ctx, name, filter, held); err != nil {
		return nil, fmt.Errorf("open consumer %s: %w", name, err)
	}
	if far, err := f.farBehind(ctx); err != nil {
		return nil, fmt.Errorf("look at consumer %s: %w", name, err)
	} else if far {
		f.wants = spec.wants
		if f.consumer, err = b.eventsConsumer(ctx, name, nil, held); err != nil {
			return nil, fmt.Errorf("open consumer %s: %w", name, err)
		}
	}
	return f, nil
}

// eventsConsumer is a durable consumer of events from where it stood, with at
// most held deliveries out at once. A new one begins with what is published
// after this bus was opened.
func (b *Bus) eventsConsumer(ctx context.Context, name string, filter []string, held int) (jetstream.Consumer, error) {
	first := b.first
	if place, known, err := b.position(ctx, name); err != nil {
		return nil, err
	} else if known {
		first = place + 1
	}
	return b.ensureConsumer(ctx, b.streams.events, jetstream.ConsumerConfig{
		Durable: name, FilterSubjects: filter, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver: -1, MaxAckPending: held,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first,
	})
}

// farBehind reports whether the feed has much to catch up on, and wants a good
// part of it. Then it is faster to pass the rest over here: for each message
// that is far from the end of its block, the server looks at all subjects of
// the block if there is a filter (1,000 of them: 27 µs; near the end: nothing).
func (f *Feed) farBehind(ctx context.Context) (bool, error) {
	info, err := f.consumer.Info(ctx)
	if err != nil {
		return false, err
	}
	stream, err := f.stream.Info(ctx)
	if err != nil {
		return false, err
	}
	behind := stream.State.LastSeq - min(stream.State.LastSeq, max(info.Delivered.Stream, stream.State.FirstSeq))
	return behind >= far && info.NumPending >= behind/4, nil
}

// far is how many events a feed is behind when its filter begins to cost.
const far = 5000

// wants reports whether the feed has the event.
func (s FeedSpec) wants(e event.Event) bool {
	return slices.Contains(s.Accounts, e.Account) &&
		slices.ContainsFunc(s.Events, func(p event.Pattern) bool { return p.Matches(e.Type) })
}

// ensureConsumer makes the durable consumer, or takes the one that is there
// with its position, under today's filter and limits, and resets what it had
// under way.
func (b *Bus) ensureConsumer(ctx context.Context, stream string, want jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	have, err := b.js.Consumer(ctx, stream, want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return b.js.CreateConsumer(ctx, stream, want)
	}
	if err != nil {
		return nil, err
	}
	config := have.CachedInfo().Config
	config.FilterSubject, config.FilterSubjects = "", want.FilterSubjects
	config.AckWait, config.MaxAckPending = want.AckWait, want.MaxAckPending
	consumer, err := b.js.UpdateConsumer(ctx, stream, config)
	if err != nil {
		return nil, err
	}
	if resetConsumers {
		if _, err := b.js.ResetConsumer(ctx, stream, want.Durable); err != nil {
			return nil, fmt.Errorf("reset: %w", err)
		}
	}
	return consumer, nil
}

// Request allows n more deliveries, beside those allowed before.
func (f *Feed) Request(n int) {
	f.mu.Lock()
	f.allowed += n
	f.mu.Unlock()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// Next waits for the next delivery. A message in the stream that is no event
// of ours becomes a dead letter and is passed over.
func (f *Feed) Next(ctx context.Context) (*Delivery, error) {
	if f.consumer == nil {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	for {
		msg, err := f.next(ctx)
		if err != nil {
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read a message's metadata: %w", err)
		}
		d := &Delivery{feed: f, msg: msg, reply: msg.Reply(), seq: meta.Sequence.Stream}
		d.Event, err = decode(msg.Headers(), msg.Data())
		if f.wants != nil && !f.wants(d.Event) {
			if err := d.Ack(); err != nil {
				return nil, fmt.Errorf("pass over an event: %w", err)
			}
			f.Request(1)
			continue
		}
		if err != nil {
			if err := d.Dead(ctx, err.Error(), 0); err != nil {
				return nil, err
			}
			f.Request(1)
			continue
		}
		return d, nil
	}
}

// next waits for the next message, and pulls where no pull is open.
func (f *Feed) next(ctx context.Context) (jetstream.Msg, error) {
	for {
		if f.batch == nil {
			if err := f.pull(ctx); err != nil {
				return nil, err
			}
		}
		select {
		case msg, ok := <-f.batch.Messages():
			if ok {
				f.mu.Lock()
				f.allowed--
				f.mu.Unlock()
				return msg, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		err := f.batch.Error()
		f.batch = nil
		switch {
		case err == nil:
		case f.closed.Err() != nil, errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, nats.ErrConnectionClosed):
			return nil, fmt.Errorf("pull: %w", err)
		default: // the server is away, or another one leads: it comes back
			select {
			case <-time.After(pullAgain):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
}

// pull opens a pull of what is allowed. All that comes by it is handed out by
// Next, so that nothing waits here until it comes again.
func (f *Feed) pull(ctx context.Context) error {
	for {
		f.mu.Lock()
		n := min(f.allowed, pull)
		f.mu.Unlock()
		if n > 0 {
			var err error
			f.batch, err = f.consumer.Fetch(n, jetstream.FetchContext(f.closed), jetstream.FetchHeartbeat(heartbeat))
			if err != nil {
				return fmt.Errorf("pull: %w", err)
			}
			return nil
		}
		select {
		case <-f.more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close ends the feed, when Next has returned. Its position stays.
func (f *Feed) Close() {
	f.close()
	for f.batch != nil {
		if _, open := <-f.batch.Messages(); !open {
			f.batch = nil
		}
	}
}

// Headers of a dead letter and a quarantined frame, beside those it had.
const (
	headerReason   = "switchboard-reason"
	headerAttempts = "switchboard-attempts"
	headerStored   = "switchboard-stored"
)

// bury stores a dead letter, under an id of its own: with its event's it would
// pass for a duplicate of another owner's.
func (b *Bus) bury(ctx context.Context, owner, account, conversation string, h nats.Header, data []byte, reason string, attempts int) error {
	msg := &nats.Msg{Subject: b.subjects.dead(owner, account, conversation), Header: nats.Header{}, Data: data}
	for name, values := range h {
		msg.Header[name] = values
	}
	msg.Header[nats.MsgIdHdr] = []string{"dead/" + owner + "/" + h.Get(nats.MsgIdHdr)}
	msg.Header[headerReason] = []string{oneLine(reason)}
	msg.Header[headerAttempts] = []string{strconv.Itoa(attempts)}
	msg.Header[headerStored] = []string{time.Now().UTC().Format(time.RFC3339Nano)}
	if _, err := b.js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("store a dead letter: %w", err)
	}
	return nil
}

// Quarantine keeps a frame that could not be read, as it came.
func (b *Bus) Quarantine(ctx context.Context, account string, frame []byte, reason string) error {
	msg := &nats.Msg{
		Subject: b.subjects.quarantine(account), Data: frame,
		Header: nats.Header{
			headerAccount: {account}, headerReason: {oneLine(reason)},
			headerStored: {time.Now().UTC().Format(time.RFC3339Nano)},
		},
	}
	if _, err := b.js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("store a frame in quarantine: %w", err)
	}
	return nil
}
