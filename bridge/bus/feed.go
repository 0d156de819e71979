package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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

// Feed is a durable consumer of events, and one of what it is to be given once
// more. One goroutine calls Next.
type Feed struct {
	bus    *Bus
	spec   FeedSpec
	events *puller // nil: it has no events
	again  *puller
	closed context.Context
	close  context.CancelFunc

	mu      sync.Mutex
	allowed int           // how many more may be delivered
	more    chan struct{} // has one after Request
}

// OpenFeed opens a feed from where it stood. A new one begins with what is
// published after this bus was opened. What was delivered and not acknowledged
// before comes first, in order: a restart must not let later events overtake.
func (b *Bus) OpenFeed(ctx context.Context, spec FeedSpec) (*Feed, error) {
	f := &Feed{bus: b, spec: spec, allowed: spec.Held, more: make(chan struct{}, 1)}
	f.closed, f.close = context.WithCancel(context.WithoutCancel(ctx))
	err := f.openAgain(ctx)
	if err == nil {
		err = f.openEvents(ctx)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *Feed) openEvents(ctx context.Context) error {
	b, spec := f.bus, f.spec
	filter := b.subjects.stored(spec.Accounts, spec.Events)
	if len(filter) == 0 {
		return nil
	}
	name := spec.Owner + "_" + spec.Name
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", b.streams.events, err)
	}
	held := max(spec.Held, spec.Parked)
	consumer, err := b.eventsConsumer(ctx, name, filter, b.narrowest(spec, filter), held)
	if err != nil {
		return fmt.Errorf("open consumer %s: %w", name, err)
	}
	f.events = &puller{consumer: consumer, stream: stream, heartbeat: heartbeat}
	return nil
}

// narrowest is what the server is to select for a feed. Where that is all there
// is, it is asked for as a whole: with a narrower filter the server looks, for
// each event that is far from the end of its block, at all subjects of the block
// (1,000 of them: 20 µs).
func (b *Bus) narrowest(spec FeedSpec, selects []string) []string {
	missing := func(account string) bool { return !slices.Contains(spec.Accounts, account) }
	if len(b.accounts) == 0 || slices.ContainsFunc(b.accounts, missing) || !slices.Contains(spec.Events, "*") {
		return selects
	}
	return []string{b.subjects.prefix + ".event.>"}
}

// eventsConsumer is a durable consumer of events from where it stood, with at
// most held deliveries out at once. A new one begins with what is published
// after this bus was opened. It is noted what it selects, also where the filter
// is a wider one.
func (b *Bus) eventsConsumer(ctx context.Context, name string, selects, filter []string, held int) (jetstream.Consumer, error) {
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
		Metadata: map[string]string{selectsNote: strings.Join(selects, " ")},
	})
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
	config.Metadata = maps.Clone(config.Metadata)
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	maps.Copy(config.Metadata, want.Metadata)
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
	for {
		msg, sequence, again, err := f.next(ctx)
		if err != nil {
			return nil, err
		}
		d := &Delivery{feed: f, msg: msg, reply: msg.Reply(), seq: sequence}
		d.Event, err = decode(msg.Headers(), msg.Data())
		if again {
			if wrong := f.readAgain(d); err == nil {
				err = wrong
			}
		}
		switch {
		case err != nil:
			if err := d.Dead(ctx, err.Error(), 0); err != nil {
				return nil, err
			}
			f.Request(1)
			continue
		case !again && !f.spec.wants(d.Event): // of an account that there was
			if err := d.Ack(); err != nil {
				return nil, fmt.Errorf("pass over an event: %w", err)
			}
			f.Request(1)
			continue
		}
		return d, nil
	}
}

// Headers of a dead letter and a quarantined frame, beside those it had.
const (
	headerReason   = "switchboard-reason"
	headerAttempts = "switchboard-attempts"
	headerStored   = "switchboard-stored"
	headerFeed     = "switchboard-feed"
)

// bury stores a dead letter, under an id of its own: with its event's it would
// pass for a duplicate of another owner's, or of another of its feeds. feed is
// empty for an action.
func (b *Bus) bury(ctx context.Context, owner, feed, account, conversation string, h nats.Header, data []byte, reason string, attempts int) error {
	msg := &nats.Msg{Subject: b.subjects.dead(owner, account, conversation), Header: nats.Header{}, Data: data}
	for name, values := range h {
		// What told the server how to store it would tell it how to store this.
		if !strings.HasPrefix(name, "Nats-") {
			msg.Header[name] = values
		}
	}
	msg.Header[nats.MsgIdHdr] = []string{"dead/" + owner + "/" + feed + "/" + cmp.Or(h.Get(nats.MsgIdHdr), h.Get(headerKey))}
	if feed != "" {
		msg.Header[headerFeed] = []string{feed}
	}
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

// wants reports whether the feed has the event.
func (s FeedSpec) wants(e event.Event) bool {
	return slices.Contains(s.Accounts, e.Account) &&
		slices.ContainsFunc(s.Events, func(p event.Pattern) bool { return p.Matches(e.Type) })
}
