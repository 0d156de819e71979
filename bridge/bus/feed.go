package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ackWait is after how long a delivery comes again that is neither
// acknowledged nor held.
const ackWait = 30 * time.Second

// prefetch is how many events a feed has ready.
const prefetch = 500

// FeedSpec says which events a feed has.
type FeedSpec struct {
	// Owner and Name make the durable consumer's name.
	Owner, Name string
	Accounts    []string
	Events      []event.Pattern
	// Held is how many deliveries may be out at once.
	Held int
}

// Feed is a durable consumer of events, and one of what it is to be given once
// more. One goroutine calls Next and Close.
type Feed struct {
	bus      *Bus
	spec     FeedSpec
	messages jetstream.MessagesContext // nil: it has no events
	again    jetstream.MessagesContext
	merged   *merged // of both; nil before the first Next
}

// Delivery is one event of a feed.
type Delivery struct {
	feed *Feed
	msg  jetstream.Msg
	seq  uint64
	// key is not empty where it is delivered once more.
	key string
	// Event is the event itself.
	Event event.Event
}

// OpenFeed opens a feed from where it stood. A new one begins with what is
// published after this bus was opened. What was delivered and not acknowledged
// before comes first, in order: a restart must not let later events overtake.
func (b *Bus) OpenFeed(ctx context.Context, spec FeedSpec) (*Feed, error) {
	f := &Feed{bus: b, spec: spec}
	if err := f.openAgain(ctx); err != nil {
		return nil, err
	}
	if err := f.openEvents(ctx); err != nil {
		f.Close()
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
	consumer, err := b.eventsConsumer(ctx, name, filter, spec.Held)
	if err != nil {
		return fmt.Errorf("open consumer %s: %w", name, err)
	}
	f.messages, err = consumer.Messages(jetstream.PullMaxMessages(min(prefetch, spec.Held)),
		jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return fmt.Errorf("pull from consumer %s: %w", name, err)
	}
	return nil
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

// Next waits for the next delivery. A message in the stream that is no event
// of ours becomes a dead letter and is passed over.
func (f *Feed) Next(ctx context.Context) (*Delivery, error) {
	if f.merged == nil {
		f.merged = merge(f.messages, f.again)
	}
	for {
		got, err := f.merged.next(ctx)
		if err != nil {
			return nil, err
		}
		meta, err := got.msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read a message's metadata: %w", err)
		}
		d := &Delivery{feed: f, msg: got.msg, seq: meta.Sequence.Stream}
		d.Event, err = decode(d.msg.Headers(), d.msg.Data())
		if err == nil && got.again {
			err = f.readAgain(d)
		}
		if err != nil {
			if err := d.Dead(ctx, err.Error(), 0); err != nil {
				return nil, err
			}
			continue
		}
		return d, nil
	}
}

// Close ends the feed. Its position stays.
func (f *Feed) Close() {
	for _, m := range []jetstream.MessagesContext{f.messages, f.again} {
		if m != nil {
			m.Stop()
		}
	}
	if f.merged != nil {
		f.merged.close()
	}
}

// Sequence tells the feed's deliveries apart and is the event's place in the
// stream; of what is delivered once more it has the highest bit set, and is its
// place among those.
func (d *Delivery) Sequence() uint64 { return d.seq }

// Key is what a receiver may tell deliveries of the same event by: the event's
// id and, where it is delivered once more, a fresh one.
func (d *Delivery) Key() string { return cmp.Or(d.key, d.Event.ID) }

// Again says that the operator had the event delivered once more.
func (d *Delivery) Again() bool { return d.key != "" }

// Ack says that the event is done. It does not wait: an acknowledgement that
// gets lost brings the event again.
func (d *Delivery) Ack() error { return d.msg.Ack() }

// Hold says that the event is being worked on.
func (d *Delivery) Hold() error { return d.msg.InProgress() }

// Dead stores the event as a dead letter of the feed's owner, and then says
// that it is done.
func (d *Delivery) Dead(ctx context.Context, reason string, attempts int) error {
	err := d.feed.bus.bury(ctx, d.feed.spec.Owner, d.feed.spec.Name, d.Event.Account, d.Event.Conversation,
		d.msg.Headers(), d.msg.Data(), reason, attempts)
	if err != nil {
		return err
	}
	return d.msg.Ack()
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
