package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// streams are the names of ours.
type streams struct{ events, actions, ledger, state, dead, again, quarantine, bucket string }

func (s subjects) streams() streams {
	up := strings.ToUpper(s.prefix)
	return streams{up + "_EVENTS", up + "_ACTIONS", up + "_LEDGER", up + "_STATE", up + "_DEAD", up + "_AGAIN", up + "_QUARANTINE", s.prefix + "-plugins"}
}

const (
	mib = 1 << 20
	// What is kept beside the events.
	maxActions, maxLedger, maxState, maxDead, maxAgain, maxQuarantine, maxBucket = 1024 * mib, 1024 * mib, 512 * mib, 1024 * mib, 512 * mib, 256 * mib, 1024 * mib
	// maxBacklog is how many actions may wait.
	maxBacklog = 1_000_000
	// maxReplays is how many events may wait to be delivered once more.
	maxReplays = 1_000_000
	// dedupe is how long an event's id is remembered by the server.
	dedupe = 2 * time.Minute
	// KeyLife is how long the id of an action is remembered.
	KeyLife = 24 * time.Hour
)

// maxStore is what the server may use in all: the bounds of the streams and
// room for its own files.
func maxStore(o Options) int64 {
	return o.MaxBytes + maxActions + maxLedger + maxState + maxDead + maxAgain + maxQuarantine + maxBucket + 256*mib
}

// ensureStreams makes or updates each stream. What an operator may have chosen
// for an existing one (replicas, placement, …) stays.
func (b *Bus) ensureStreams(ctx context.Context, o Options) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p := b.subjects.prefix
	b.streams = b.subjects.streams()

	if _, err := b.js.AccountInfo(ctx); err != nil {
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return fmt.Errorf("the NATS server at %s has no JetStream: start it with JetStream on (nats-server -js), or leave nats.url empty for the embedded one", b.Address())
		}
		return fmt.Errorf("ask NATS for its account: %w", err)
	}

	for _, c := range []jetstream.StreamConfig{
		{
			Name: b.streams.events, Subjects: []string{p + ".event.>"}, MaxAge: o.MaxAge, MaxBytes: o.MaxBytes,
			Duplicates: min(dedupe, o.MaxAge), Compression: jetstream.S2Compression, AllowDirect: true,
			// Events can be had again from the backend: they are written fast.
			PersistMode: jetstream.AsyncPersistMode,
		},
		{
			Name: b.streams.actions, Subjects: []string{p + ".queue.>"}, Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: maxBacklog, MaxBytes: maxActions, Duplicates: KeyLife,
			AllowAtomicPublish: true, AllowDirect: true,
		},
		{
			Name: b.streams.ledger, Subjects: []string{p + ".ledger.>"}, MaxAge: KeyLife, MaxBytes: maxLedger,
			MaxMsgsPerSubject: 1, Duplicates: dedupe, AllowAtomicPublish: true, AllowDirect: true,
		},
		{
			Name: b.streams.state, Subjects: []string{p + ".state.>"}, MaxBytes: maxState, MaxMsgsPerSubject: 1,
		},
		{
			Name: b.streams.dead, Subjects: []string{p + ".dead.>"}, MaxAge: 30 * 24 * time.Hour, MaxBytes: maxDead,
			Compression: jetstream.S2Compression, AllowDirect: true,
		},
		{
			// What is full is said to who asks for more: nothing of it goes by itself.
			Name: b.streams.again, Subjects: []string{p + ".again.>"}, Retention: jetstream.WorkQueuePolicy,
			Discard: jetstream.DiscardNew, MaxMsgs: maxReplays, MaxBytes: maxAgain, Duplicates: KeyLife,
			Compression: jetstream.S2Compression, AllowAtomicPublish: true, AllowDirect: true,
		},
		{
			Name: b.streams.quarantine, Subjects: []string{p + ".quarantine.>"}, MaxAge: 7 * 24 * time.Hour, MaxBytes: maxQuarantine,
			Compression: jetstream.S2Compression,
		},
	} {
		if err := b.ensureStream(ctx, c); err != nil {
			return fmt.Errorf("bring stream %s into shape: %w", c.Name, err)
		}
	}

	if b.store, err = b.ensureBucket(ctx); err != nil {
		return fmt.Errorf("open bucket %s: %w", b.streams.bucket, err)
	}
	return nil
}

// maxEntry is the largest value of the bucket: 64 KiB of a plugin's, and a
// timer's time.
const maxEntry = 64<<10 + timerHead

func (b *Bus) ensureBucket(ctx context.Context) (jetstream.KeyValue, error) {
	_, err := b.js.KeyValue(ctx, b.streams.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: b.streams.bucket, Description: "what plugins keep"})
	}
	if err != nil {
		return nil, err
	}
	stream, err := b.js.Stream(ctx, "KV_"+b.streams.bucket)
	if err != nil {
		return nil, err
	}
	have := stream.CachedInfo().Config
	have.MaxBytes, have.MaxMsgSize = maxBucket, maxEntry
	have.AllowMsgTTL = true // what was deleted is forgotten after a while
	if _, err = b.js.UpdateStream(ctx, have); err != nil {
		return nil, err
	}
	return b.js.KeyValue(ctx, b.streams.bucket)
}

func (b *Bus) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	stream, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = b.js.CreateStream(ctx, want)
	} else if err == nil {
		have := stream.CachedInfo().Config
		have.Subjects, have.MaxAge, have.MaxBytes, have.MaxMsgs = want.Subjects, want.MaxAge, want.MaxBytes, want.MaxMsgs
		have.Duplicates, have.AllowDirect = want.Duplicates, have.AllowDirect || want.AllowDirect
		have.AllowAtomicPublish = have.AllowAtomicPublish || want.AllowAtomicPublish
		stream, err = b.js.UpdateStream(ctx, have)
		if err != nil && want.AllowAtomicPublish {
			// An operator's stream may be of a kind that has no batches.
			b.log.Warn("the stream cannot take atomic batches; it is written one by one, which is slower", "stream", want.Name, "error", err)
			have.AllowAtomicPublish = false
			stream, err = b.js.UpdateStream(ctx, have)
		}
	}
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	switch want.Name {
	case b.streams.actions:
		b.actions, err = newCommitter(b.conn, info.Config.AllowAtomicPublish, b.log)
	case b.streams.again:
		b.again.batches = info.Config.AllowAtomicPublish
	case b.streams.ledger:
		b.ledger = stream
		b.entries, err = newCommitter(b.conn, info.Config.AllowAtomicPublish, b.log)
	}
	return err
}

// next is the sequence that the next event will have.
func (b *Bus) next(ctx context.Context) (uint64, error) {
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return 0, fmt.Errorf("look at the stream of events: %w", err)
	}
	return stream.CachedInfo().State.LastSeq + 1, nil
}
