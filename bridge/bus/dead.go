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

	"github.com/switchboard-dev/switchboard/proto/event"
)

// OutboxOwner is the owner of the dead letters that are actions; those of the
// others, which are plugins, are events.
const OutboxOwner = "outbox"

// ErrNoDeadLetter says that there is no dead letter of a sequence.
var ErrNoDeadLetter = errors.New("no such dead letter")

// DeadFilter says which dead letters are meant. Empty fields select all.
type DeadFilter struct{ Owner, Account, Conversation string }

// DeadLetter is what its owner gave up.
type DeadLetter struct {
	// Sequence is its place among the dead letters.
	Sequence uint64
	// Owner is the plugin, or [OutboxOwner].
	Owner, Account, Conversation string
	// Feed is the plugin's feed that gave it up; empty for an action, and where
	// that was not noted.
	Feed string
	// Reason is why it was given up, after how many Attempts, and Stored when.
	Reason   string
	Attempts int
	Stored   time.Time
	// Headers are all that it has, its own among them, and Body is as it was.
	Headers nats.Header
	Body    []byte
}

// Type is that of the event, or of the action.
func (d DeadLetter) Type() string { return d.Headers.Get(headerType) }

// ID is that of the event, or the one that its sender gave the action.
func (d DeadLetter) ID() string {
	if d.Owner == OutboxOwner {
		return d.Headers.Get(headerAction)
	}
	return d.Headers.Get(headerID)
}

// Action is the action that a dead letter of the outbox is, and whose.
func (d DeadLetter) Action() (sender string, a event.Action) {
	q := newQueued(nil, d.Headers, d.Body, d.Stored, d.Sequence)
	return q.Sender, q.Action
}

// Dead gives the dead letters, the oldest first.
func (b *Bus) Dead(ctx context.Context, f DeadFilter) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for m, err := range b.read(ctx, b.streams.dead, jetstreamext.GetBatchSubject(b.subjects.deads(f))) {
			if err != nil {
				yield(DeadLetter{}, fmt.Errorf("read the dead letters: %w", err))
				return
			}
			letter, err := b.subjects.readDead(m)
			if err != nil {
				b.log.Warn("a dead letter is passed over", "error", err)
				continue
			}
			if !yield(letter, nil) {
				return
			}
		}
	}
}

// DeadLetter is the one of that sequence, or an error that matches
// [ErrNoDeadLetter].
func (b *Bus) DeadLetter(ctx context.Context, sequence uint64) (DeadLetter, error) {
	stream, err := b.js.Stream(ctx, b.streams.dead)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("read the dead letters: %w", err)
	}
	m, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return DeadLetter{}, fmt.Errorf("%w: sequence %d", ErrNoDeadLetter, sequence)
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("read the dead letters: %w", err)
	}
	return b.subjects.readDead(m)
}

// ReplayDead has the event of a plugin's dead letter delivered to its feed once
// more, under a key of its own, which it returns, and removes the dead letter.
// Whatever is interrupted can be called again. Nothing of it goes to another
// feed; where the letter's own is not known, or gone, it is the plugin's only
// one.
func (b *Bus) ReplayDead(ctx context.Context, d DeadLetter) (key string, err error) {
	feeds, err := b.feedsOf(ctx, d.Owner)
	if err != nil {
		return "", fmt.Errorf("replay dead letter %d: %w", d.Sequence, err)
	}
	feed, err := feedOf(feeds, d.Owner, d.Feed)
	if err != nil && len(feeds) == 1 {
		feed, err = feeds[0], nil
	}
	if err != nil {
		return "", fmt.Errorf("replay dead letter %d: %w", d.Sequence, err)
	}
	key = againKey(d.ID(), "dead-"+strconv.FormatUint(d.Sequence, 10))
	msg := b.subjects.againMessage(d.Owner, feed.name, d.Account, d.Conversation, key, d.Headers, d.Body)
	msg.Header[nats.MsgIdHdr] = []string{msg.Header.Get(headerKey)}
	if err := b.writeAgain(ctx, msg); err != nil {
		return "", fmt.Errorf("replay dead letter %d: %w", d.Sequence, err)
	}
	return key, b.DropDead(ctx, d.Sequence)
}

// DropDead removes a dead letter. One that is gone already is no error.
func (b *Bus) DropDead(ctx context.Context, sequence uint64) error {
	if err := b.remove(ctx, b.streams.dead, sequence); err != nil {
		return fmt.Errorf("remove dead letter %d: %w", sequence, err)
	}
	return nil
}

func (s subjects) deads(f DeadFilter) string {
	return s.prefix + ".dead." + tokenOrAny(f.Owner) + "." + tokenOrAny(f.Account) + "." + tokenOrAny(f.Conversation)
}

func (s subjects) readDead(m *jetstream.RawStreamMsg) (d DeadLetter, err error) {
	parts := strings.Split(strings.TrimPrefix(m.Subject, s.prefix+".dead."), ".")
	if len(parts) != 3 {
		return d, fmt.Errorf("subject %q is not %s.dead.{owner}.{account}.{conversation}", m.Subject, s.prefix)
	}
	d = DeadLetter{
		Sequence: m.Sequence, Owner: parts[0], Feed: m.Header.Get(headerFeed), Reason: m.Header.Get(headerReason), Stored: m.Time,
		Headers: m.Header, Body: m.Data,
	}
	for i, to := range []*string{&d.Account, &d.Conversation} {
		if *to, err = untoken(parts[i+1]); err != nil {
			return d, fmt.Errorf("subject %q: %w", m.Subject, err)
		}
	}
	// Others than the bridge may have stored it.
	d.Attempts, _ = strconv.Atoi(m.Header.Get(headerAttempts))
	return d, nil
}
