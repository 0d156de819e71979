package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The events' stream is written fast, so an unclean end of the embedded server
// takes the last of it, and the server would use those sequences again: an
// acknowledgement of an event that vanished would acknowledge another one, and
// whoever remembers a sequence would find a stranger there. So the stream is
// padded past everything that anybody can remember, and the padding purged.

const (
	// padding is how many sequences are skipped beyond those that are known to
	// have been used: more than are written between two checkpoints, but at the
	// highest rates.
	padding = 20_000
	// padTimeout bounds it.
	padTimeout = time.Minute
)

// marked is the file that is there while an embedded server runs on a data
// directory.
func marked(dir string) string { return filepath.Join(dir, "running") }

// mark says that a server runs here, and reports whether the last one did not
// end in good order.
func mark(dir string) (unclean bool, err error) {
	_, err = os.Stat(marked(dir))
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("look how the last run ended: %w", err)
	}
	if err := os.WriteFile(marked(dir), nil, 0o600); err != nil {
		return false, fmt.Errorf("mark the data directory as running: %w", err)
	}
	return false, nil
}

func unmark(dir string) error {
	if err := os.Remove(marked(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mark the data directory as stopped: %w", err)
	}
	return nil
}

// pad makes sure that no sequence of the events' stream is used twice.
func (b *Bus) pad(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, padTimeout)
	defer cancel()
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return fmt.Errorf("pad the stream of events: %w", err)
	}
	last := stream.CachedInfo().State.LastSeq
	to := last
	err = b.read(ctx, b.streams.state, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}, func(m jetstream.Msg) error {
		if known, err := strconv.ParseUint(m.Headers().Get(headerSequence), 10, 64); err == nil {
			to = max(to, known)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pad the stream of events: read what was remembered: %w", err)
	}
	to += padding
	b.log.Warn("the last run did not end in good order: the latest events may be missing from the stream, and are fetched again",
		"last", last, "padded_to", to)
	subject := b.subjects.padding()
	for ; last < to; last++ {
		if _, err := b.js.PublishMsgAsync(&nats.Msg{Subject: subject}, jetstream.WithStallWait(padTimeout)); err != nil {
			return fmt.Errorf("pad the stream of events: %w", err)
		}
	}
	select {
	case <-b.js.PublishAsyncComplete():
	case <-ctx.Done():
		return fmt.Errorf("pad the stream of events: %w", context.Cause(ctx))
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("pad the stream of events: %w", err)
	}
	return nil
}
