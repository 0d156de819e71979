package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// WriteLedger writes what has become of an action, and returns when that is on
// disk. There is one entry per action, the one written last; it is kept for
// [KeyLife]. What many write at once costs one fsync.
func (b *Bus) WriteLedger(ctx context.Context, account, sender, id string, entry []byte) error {
	subject := b.subjects.ledger(account, sender, id)
	written := make(chan error, 1)
	b.entries.put(&commit{
		msg: &nats.Msg{
			Subject: subject, Data: entry,
			// An id of its own, so that an attempt that was thought lost does not
			// come after later entries.
			Header: nats.Header{nats.MsgIdHdr: {b.opened + "/" + strconv.FormatUint(b.writes.Add(1), 10)}},
		},
		lane: subject,
		done: func(_ uint64, _ bool, err error) { written <- err },
	})
	select {
	case err := <-written:
		if err != nil {
			return fmt.Errorf("write the ledger: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the ledger: %w: %w", ErrUnclear, context.Cause(ctx))
	}
}

// ReadLedger returns the entry of an action, or nil when there is none.
func (b *Bus) ReadLedger(ctx context.Context, account, sender, id string) ([]byte, error) {
	msg, err := b.ledger.GetLastMsgForSubject(ctx, b.subjects.ledger(account, sender, id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return msg.Data, nil
}

// Key is an action as the queue or the ledger knows it.
type Key struct {
	Account, Sender, ID string
	// When it was accepted, or its entry in the ledger was written.
	When time.Time
	// Sequence, Hash and Size, that of its body, are those of an action in the
	// queue; Entry is that in the ledger.
	Sequence uint64
	Hash     string
	Size     int
	Entry    []byte
}

// Keys gives every action in the queue, and then every entry of the ledger,
// those of an action after it, as they are now.
func (b *Bus) Keys(ctx context.Context) iter.Seq2[Key, error] {
	return func(yield func(Key, error) bool) {
		for m, err := range b.read(ctx, b.streams.actions) {
			if err != nil {
				yield(Key{}, fmt.Errorf("read the queue: %w", err))
				return
			}
			h := m.Header
			if !yield(Key{
				Account: h.Get(headerAccount), Sender: h.Get(headerBy), ID: h.Get(headerAction), When: m.Time,
				Sequence: m.Sequence, Hash: h.Get(headerHash), Size: len(m.Data),
			}, nil) {
				return
			}
		}
		for m, err := range b.read(ctx, b.streams.ledger) {
			if err != nil {
				yield(Key{}, fmt.Errorf("read the ledger: %w", err))
				return
			}
			k, err := b.subjects.parseLedger(m.Subject)
			if err != nil {
				b.log.Warn("an entry of the ledger is passed over", "error", err)
				continue
			}
			k.When, k.Entry = m.Time, m.Data
			if !yield(k, nil) {
				return
			}
		}
	}
}

func (s subjects) parseLedger(subject string) (k Key, err error) {
	parts := strings.Split(strings.TrimPrefix(subject, s.prefix+".ledger."), ".")
	if len(parts) != 3 {
		return k, fmt.Errorf("subject %q is not %s.ledger.{account}.{sender}.{id}", subject, s.prefix)
	}
	for i, to := range []*string{&k.Account, &k.Sender, &k.ID} {
		if *to, err = untoken(parts[i]); err != nil {
			return k, fmt.Errorf("subject %q: %w", subject, err)
		}
	}
	return k, nil
}

const (
	// readMessages and readBytes are what is asked for at once, which may take
	// as long as readFor.
	readMessages, readBytes = 1000, 4 * mib
	readFor                 = 10 * time.Second
)

// read gives what a stream has, without a consumer: a work queue allows none
// but its own.
func (b *Bus) read(ctx context.Context, stream string, which ...jetstreamext.GetBatchOpt) iter.Seq2[*jetstream.RawStreamMsg, error] {
	return func(yield func(*jetstream.RawStreamMsg, error) bool) {
		for next := uint64(1); ; {
			page, err := b.page(ctx, stream, next, which)
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, m := range page {
				if !yield(m, nil) {
					return
				}
				next = m.Sequence + 1
			}
		}
	}
}

// page gives the messages from a sequence on, at least one.
func (b *Bus) page(ctx context.Context, stream string, from uint64, which []jetstreamext.GetBatchOpt) ([]*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	answers, err := jetstreamext.GetBatch(ctx, b.js, stream, readMessages,
		append([]jetstreamext.GetBatchOpt{jetstreamext.GetBatchSeq(from), jetstreamext.GetBatchMaxBytes(readBytes)}, which...)...)
	if err != nil {
		return nil, err
	}
	var page []*jetstream.RawStreamMsg
	for m, err := range answers {
		if err != nil {
			return nil, err
		}
		page = append(page, m)
	}
	if len(page) == 0 {
		return nil, jetstreamext.ErrNoMessages
	}
	return page, nil
}
