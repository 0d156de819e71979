package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// LoadState returns what was kept of an account, nil without anything, and
// calls fn for what was kept of each of its conversations.
func (b *Bus) LoadState(ctx context.Context, account string, fn func(conversation string, record []byte) error) ([]byte, error) {
	var record []byte
	err := read(ctx, b.js, b.streams.state, jetstream.ConsumerConfig{
		FilterSubjects: []string{b.subjects.state(account), b.subjects.state(account) + ".*"},
		DeliverPolicy:  jetstream.DeliverAllPolicy,
	}, func(m jetstream.Msg) error {
		if m.Subject() == b.subjects.state(account) {
			record = m.Data()
			return nil
		}
		return fn(m.Headers().Get(headerSubject), m.Data())
	})
	if err != nil {
		return nil, fmt.Errorf("read the state of account %s: %w", account, err)
	}
	return record, nil
}

// SaveState keeps records of conversations, and then the account's, each in
// place of the one before. It returns when they are on disk. sequence is the
// latest event that they know of: it is never used again for another one.
func (b *Bus) SaveState(ctx context.Context, account string, sequence uint64, record []byte, conversations map[string][]byte) error {
	acks := make([]jetstream.PubAckFuture, 0, len(conversations))
	for id, data := range conversations {
		ack, err := b.js.PublishMsgAsync(&nats.Msg{
			Subject: b.subjects.state(account) + "." + token(id), Header: nats.Header{headerSubject: {id}}, Data: data,
		})
		if err != nil {
			return fmt.Errorf("write the state of account %s: %w", account, err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return fmt.Errorf("write the state of account %s: %w", account, err)
		case <-ctx.Done():
			return fmt.Errorf("write the state of account %s: %w", account, context.Cause(ctx))
		}
	}
	if err := b.saveState(ctx, b.subjects.state(account), sequence, record); err != nil {
		return fmt.Errorf("write the state of account %s: %w", account, err)
	}
	return nil
}

// saveState keeps one record with the event that it knows of.
func (b *Bus) saveState(ctx context.Context, subject string, sequence uint64, record []byte) error {
	_, err := b.js.PublishMsg(ctx, &nats.Msg{
		Subject: subject, Header: nats.Header{headerSequence: {strconv.FormatUint(sequence, 10)}}, Data: record,
	})
	return err
}

// EventAt returns the id of the event at a place in the stream, or nothing
// where there is none. expired says that there was one, and that its time was
// over.
func (b *Bus) EventAt(ctx context.Context, sequence uint64) (id string, expired bool, err error) {
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return "", false, fmt.Errorf("read the stream of events: %w", err)
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		state := stream.CachedInfo().State
		return "", !b.unclean.Load() && sequence < state.FirstSeq, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read event %d: %w", sequence, err)
	}
	return msg.Header.Get(headerID), false, nil
}

// ReadEvents calls fn for the events of an account that are in the stream, from
// the sequence on, in order.
func (b *Bus) ReadEvents(ctx context.Context, account string, from uint64, fn func(sequence uint64, e event.Event) error) error {
	err := read(ctx, b.js, b.streams.events, jetstream.ConsumerConfig{
		FilterSubjects: []string{b.subjects.events(account, "", "*")},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
	}, func(m jetstream.Msg) error {
		e, err := decode(m.Headers(), m.Data())
		if err != nil {
			return nil // it is no event of ours
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read a message's metadata: %w", err)
		}
		return fn(meta.Sequence.Stream, e)
	})
	if err != nil {
		return fmt.Errorf("read the events of account %s: %w", account, err)
	}
	return nil
}

// EventIDsSince are the ids of an account's events that were stored since then
// and that the pattern selects.
func (b *Bus) EventIDsSince(ctx context.Context, account string, p event.Pattern, since time.Time) (map[string]struct{}, error) {
	ids := map[string]struct{}{}
	err := read(ctx, b.js, b.streams.events, jetstream.ConsumerConfig{
		FilterSubjects: []string{b.subjects.events(account, "", p)}, HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	}, func(m jetstream.Msg) error {
		ids[m.Headers().Get(headerID)] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the events of account %s: %w", account, err)
	}
	return ids, nil
}

// Unclean reports whether the embedded server did not end in good order the
// last time: the latest events may be missing from the stream.
func (b *Bus) Unclean() bool { return b.unclean.Load() }

// ReadLedgerSince calls fn for the entries of an account that were written since
// then, the oldest first.
func (b *Bus) ReadLedgerSince(ctx context.Context, account string, since time.Time, fn func(sender, id string, written time.Time, entry []byte) error) error {
	err := read(ctx, b.js, b.streams.ledger, jetstream.ConsumerConfig{
		FilterSubjects: []string{b.subjects.ledgers(account)},
		DeliverPolicy:  jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	}, func(m jetstream.Msg) error {
		k, err := b.subjects.parseLedger(m.Subject())
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read a message's metadata: %w", err)
		}
		return fn(k.Sender, k.ID, meta.Timestamp, m.Data())
	})
	if err != nil {
		return fmt.Errorf("read the ledger of account %s: %w", account, err)
	}
	return nil
}

// read calls fn for all that a stream has now of what the consumer selects.
func read(ctx context.Context, js jetstream.JetStream, stream string, c jetstream.ConsumerConfig, fn func(jetstream.Msg) error) error {
	c.AckPolicy, c.MemoryStorage, c.InactiveThreshold = jetstream.AckNonePolicy, true, time.Minute
	consumer, err := js.CreateConsumer(ctx, stream, c)
	if err != nil {
		return err
	}
	left := consumer.CachedInfo().NumPending
	if left == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := fn(m); err != nil {
			return err
		}
	}
	return nil
}
