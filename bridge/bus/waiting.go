package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ErrNotQueued says that the queue has no action at a place.
var ErrNotQueued = errors.New("no such action in the queue")

// Waiting gives the actions in the queue, the oldest first, as they are now;
// an empty account: of all. They stay there: who takes them is not disturbed.
func (b *Bus) Waiting(ctx context.Context, account string) iter.Seq2[*Queued, error] {
	subject := b.subjects.prefix + ".queue.>"
	if account != "" {
		subject = b.subjects.queued(account)
	}
	return func(yield func(*Queued, error) bool) {
		for m, err := range b.read(ctx, b.streams.actions, jetstreamext.GetBatchSubject(subject)) {
			if err != nil {
				yield(nil, fmt.Errorf("read the queue: %w", err))
				return
			}
			if !yield(b.stored(m), nil) {
				return
			}
		}
	}
}

// QueuedAt is the action at a place in the queue, or an error that matches
// [ErrNotQueued]. It need not have been taken off the queue, or not yet.
func (b *Bus) QueuedAt(ctx context.Context, sequence uint64) (*Queued, error) {
	stream, err := b.js.Stream(ctx, b.streams.actions)
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	m, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("%w: sequence %d", ErrNotQueued, sequence)
	}
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	return b.stored(m), nil
}

// stored is an action as it is in the queue, whether or not it was taken.
func (b *Bus) stored(m *jetstream.RawStreamMsg) *Queued {
	return newQueued(b, m.Header, m.Data, m.Time, m.Sequence)
}

func newQueued(b *Bus, h nats.Header, data []byte, accepted time.Time, sequence uint64) *Queued {
	q := &Queued{
		bus: b, headers: h, Sender: h.Get(headerBy), Hash: h.Get(headerHash), Accepted: accepted, Sequence: sequence,
		Action: event.Action{
			ID: h.Get(headerAction), Type: event.ActionType(h.Get(headerType)), Account: h.Get(headerAccount),
			Conversation: h.Get(headerSubject), Body: data,
			TraceParent: h.Get(headerTraceParent), TraceState: h.Get(headerTraceState),
		},
	}
	// We wrote them: they parse.
	q.Action.At, _ = timeHeader(h, headerAt)
	q.Action.Expires, _ = timeHeader(h, headerExpires)
	return q
}

// remove deletes a message from a stream; that it is gone already is as good.
func (b *Bus) remove(ctx context.Context, stream string, sequence uint64) error {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	if err := s.DeleteMsg(ctx, sequence); err != nil {
		if _, gone := s.GetMsg(ctx, sequence); errors.Is(gone, jetstream.ErrMsgNotFound) {
			return nil
		}
		return err
	}
	return nil
}
