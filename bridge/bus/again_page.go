package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// A replay is copied page by page. Before a page is written it is put on record
// which one, and what the stream's last sequence is; the page is written under
// the condition that this still is so. One writer has the stream at a time, and
// a sequence is never used again, so after any interruption the last sequence
// tells how much of the page is there, even when the plugin was given all of it
// meanwhile.

const (
	// againMessages and againBytes bound a page.
	againMessages, againBytes = 500, 4 * mib
	// againTries is how often a page is written whose end was unclear, with
	// againPause before the next time.
	againTries, againPause = 10, time.Second
)

// replayedPage is a page that is being written.
type replayedPage struct {
	// Next is where the events go on after it; N is how many it has, and Last
	// the stream's last sequence before it.
	Next uint64 `json:"next"`
	N    int    `json:"n"`
	Last uint64 `json:"last"`
}

// replayFeed copies what is still to be copied for one feed.
func (b *Bus) replayFeed(ctx context.Context, spec ReplaySpec, f feedFilter, r *replayed, taken func(uint64) error) error {
	if r.From > r.To {
		return nil
	}
	var page []*nats.Msg
	var size int
	skip := r.Skip
	flush := func(next uint64) error {
		if err := b.putPage(ctx, b.subjects.replay(spec.Plugin, f.name), r, page, next); err != nil {
			return err
		}
		page, size = nil, 0
		return taken(r.Taken)
	}
	err := b.selected(ctx, spec, f, r, false, func(sequence uint64, m jetstream.Msg) error {
		if skip > 0 {
			skip--
			return nil
		}
		e, err := decode(m.Headers(), m.Data())
		if err != nil {
			return err
		}
		page = append(page, b.subjects.againMessage(spec.Plugin, f.name, e.Account, e.Conversation, againKey(e.ID, spec.ID), m.Headers(), m.Data()))
		size += len(m.Data())
		if len(page) < againMessages && size < againBytes {
			return nil
		}
		return flush(sequence + 1)
	})
	if err != nil {
		return err
	}
	return flush(r.To + 1)
}

// againKey is what a receiver tells a repeated delivery by.
func againKey(event, which string) string { return event + "/again/" + which }

// putPage writes a page, maybe an empty one, after which the events go on at
// next.
func (b *Bus) putPage(ctx context.Context, record string, r *replayed, page []*nats.Msg, next uint64) error {
	release, err := take(ctx, b.again.writing)
	if err != nil {
		return err
	}
	defer release()
	// What is begun is ended, else it would have to be found out how it ended.
	ctx = context.WithoutCancel(ctx)
	if err := b.settleReplaysLocked(ctx); err != nil {
		return err
	}
	if len(page) == 0 {
		r.From, r.Skip = next, 0
		return b.keepReplay(ctx, record, r)
	}
	last, err := b.lastAgain(ctx)
	if err != nil {
		return err
	}
	r.Page = &replayedPage{Next: next, N: len(page), Last: last}
	if err := b.keepReplay(ctx, record, r); err != nil {
		return err
	}
	// Whoever writes next must know what became of this page.
	b.again.settled = false
	if err := b.writePage(ctx, page, last); err != nil {
		return err
	}
	r.settle(last + uint64(len(page)))
	if err := b.keepReplay(ctx, record, r); err != nil {
		return err
	}
	b.again.settled = true
	return nil
}

// writePage returns when all of the page is on disk, once.
func (b *Bus) writePage(ctx context.Context, page []*nats.Msg, last uint64) (err error) {
	end := last + uint64(len(page))
	for range againTries {
		if err = b.tryPage(ctx, page[len(page)-int(end-last):], last); err == nil {
			return nil
		}
		if full(err) {
			return errFull(err)
		}
		if refusal(err) == notTaken {
			b.log.Warn("the stream cannot take atomic batches; it is written one by one, which is slower", "stream", b.streams.again, "error", err)
			b.again.batches = false
			continue
		}
		time.Sleep(againPause)
		now, lookErr := b.lastAgain(ctx)
		switch {
		case lookErr != nil:
			err = errors.Join(err, lookErr)
		case now == end:
			return nil
		case now < last || now > end:
			return fmt.Errorf("store what is to be delivered once more: stream %s is written by others: %w", b.streams.again, err)
		default:
			last = now
		}
	}
	return fmt.Errorf("store what is to be delivered once more: %w", err)
}

// writeAgain writes one message that has an id.
func (b *Bus) writeAgain(ctx context.Context, m *nats.Msg) error {
	release, err := take(ctx, b.again.writing)
	if err != nil {
		return err
	}
	defer release()
	if err := b.settleReplaysLocked(ctx); err != nil {
		return err
	}
	if _, err = b.js.PublishMsg(ctx, m); full(err) {
		return errFull(err)
	}
	return err
}

func errFull(err error) error {
	return fmt.Errorf("%w: at most %d events or %d MiB: go on when some of it is delivered, or drop it (%w)",
		ErrReplaysFull, maxReplays, maxAgain/mib, err)
}

// full reports whether the server has no room for a message.
func full(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == codeStoreFailed && strings.HasPrefix(api.Description, "maximum ")
}

// tryPage writes messages after last: all of them or, where the stream takes no
// batches, some from the beginning on.
func (b *Bus) tryPage(ctx context.Context, page []*nats.Msg, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	for _, m := range page {
		for _, name := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader, jetstream.ExpectedLastSeqHeader} {
			m.Header.Del(name)
		}
	}
	if !b.again.batches {
		for i, m := range page {
			if _, err := b.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequence(last+uint64(i))); err != nil {
				return err
			}
		}
		return nil
	}
	page[0].Header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(last, 10)}
	_, err := jetstreamext.PublishMsgBatch(ctx, b.js, page, jetstreamext.BatchFlowControl{})
	return err
}

// settle says that the stream has come so far.
func (r *replayed) settle(last uint64) {
	wrote := max(0, int(last)-int(r.Page.Last))
	if wrote >= r.Page.N {
		r.From, r.Skip, wrote = r.Page.Next, 0, r.Page.N
	} else {
		r.Skip += wrote
	}
	r.Taken += uint64(wrote)
	r.Page = nil
}

// settleReplays finds out what became of the page that was being written when
// the bus, or the way to it, ended.
func (b *Bus) settleReplays(ctx context.Context) error {
	release, err := take(ctx, b.again.writing)
	if err != nil {
		return err
	}
	defer release()
	return b.settleReplaysLocked(ctx)
}

func (b *Bus) settleReplaysLocked(ctx context.Context) error {
	if b.again.settled {
		return nil
	}
	last, err := b.lastAgain(ctx)
	if err != nil {
		return err
	}
	open := map[string]*replayed{}
	err = read(ctx, b.js, b.streams.state, jetstream.ConsumerConfig{
		FilterSubjects: []string{b.subjects.replay("*", "*")}, DeliverPolicy: jetstream.DeliverAllPolicy,
	}, func(m jetstream.Msg) error {
		var r replayed
		if err := json.Unmarshal(m.Data(), &r); err != nil {
			return fmt.Errorf("read how far a replay is: %w", err)
		}
		if r.Page != nil {
			open[m.Subject()] = &r
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read how far replays are: %w", err)
	}
	for subject, r := range open {
		r.settle(last)
		if err := b.keepReplay(ctx, subject, r); err != nil {
			return err
		}
	}
	b.again.settled = true
	return nil
}

func (b *Bus) lastAgain(ctx context.Context) (uint64, error) {
	stream, err := b.js.Stream(ctx, b.streams.again)
	if err != nil {
		return 0, fmt.Errorf("look what is to be delivered once more: %w", err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

func (b *Bus) keepReplay(ctx context.Context, subject string, r *replayed) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep how far a replay is: %w", err)
	}
	if err := b.saveState(ctx, subject, r.To, data); err != nil {
		return fmt.Errorf("keep how far a replay is: %w", err)
	}
	return nil
}

// replayRecord is what is kept of the latest replay to a feed; nil: nothing.
func (b *Bus) replayRecord(ctx context.Context, subject string) (*replayed, error) {
	stream, err := b.js.Stream(ctx, b.streams.state)
	if err != nil {
		return nil, fmt.Errorf("read how far a replay is: %w", err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far a replay is: %w", err)
	}
	r := &replayed{}
	if err := json.Unmarshal(m.Data, r); err != nil {
		return nil, fmt.Errorf("read how far a replay is: %w", err)
	}
	return r, nil
}
