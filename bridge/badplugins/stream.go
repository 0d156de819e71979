package badplugins

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

const (
	// batch is how many messages are asked for at once.
	batch = 1000
	// readTimeout bounds a look at the stream, and fetchTimeout a part of it.
	readTimeout  = 30 * time.Second
	fetchTimeout = 5 * time.Second
)

// published is an event on the stream.
type published struct {
	id, conversation string
	kind             event.Type
	by, action       string
	at               time.Time
}

// reader reads the stream of events, from its beginning and as it grows. One
// goroutine uses it.
type reader struct {
	js     jetstream.JetStream
	cursor uint64 // the last sequence that was read
	events []published
}

// catchUp reads what is new.
func (r *reader) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := r.read(ctx); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return nil
}

func (r *reader) read(ctx context.Context) error {
	s, err := r.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	last := s.CachedInfo().State.LastSeq
	if last == r.cursor {
		return nil
	}
	consumer, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.cursor + 1,
		MemoryStorage: true, InactiveThreshold: readTimeout,
	})
	if err != nil {
		return err
	}
	// It goes by itself where this fails.
	defer func() { _ = s.DeleteConsumer(ctx, consumer.CachedInfo().Name) }()
	for r.cursor < last {
		messages, err := consumer.Fetch(int(min(batch, last-r.cursor)), jetstream.FetchMaxWait(fetchTimeout))
		if err != nil {
			return err
		}
		n := 0
		for m := range messages.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			n++
			r.cursor = meta.Sequence.Stream
			r.add(m.Headers(), meta.Timestamp)
		}
		if err := messages.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return err
		}
		if n == 0 {
			return nil // it is slow: the next look reads on
		}
	}
	return nil
}

// add takes one message of the stream.
func (r *reader) add(h nats.Header, at time.Time) {
	if h.Get("ce-id") == "" || h.Get("ce-type") == "" {
		return // not an event
	}
	r.events = append(r.events, published{
		id: h.Get("ce-id"), kind: event.Type(h.Get("ce-type")), conversation: h.Get("ce-subject"),
		by: h.Get("switchboard-by"), action: h.Get("switchboard-action"), at: at,
	})
}
