package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// commitMessages and commitBytes bound a batch: the server takes 1,000
	// messages, and looks at each subject of a batch for each of its messages.
	commitMessages, commitBytes = 500, 4 * mib
	// commitTogether is from how many on a batch is quicker than as many single
	// writes: the server keeps a batch in files of its own before it stores it,
	// which costs some six fsyncs.
	commitTogether = 8
	// gatherFor bounds the waiting for a fuller batch.
	gatherFor = 5 * time.Millisecond
	// commitFor is how long a write is tried again, and attemptFor how long one
	// attempt may take: together, how long one may wait for its answer.
	commitFor, attemptFor = 3 * time.Second, 2 * time.Second
	// retryAfter is the pause before another attempt.
	retryAfter = 50 * time.Millisecond
	// codeStoreFailed is how the server says that it could not store.
	codeStoreFailed jetstream.ErrorCode = 10077
)

// Errors of what is to be on disk.
var (
	// ErrUnclear says that a write may be on disk, though nobody said so.
	ErrUnclear = errors.New("it is not known whether it was stored")
	// ErrClosed says that the bus takes nothing any more.
	ErrClosed = errors.New("the bus is closed")

	errLate = fmt.Errorf("not stored within %s", commitFor)
	errBusy = errors.New("too much is before it")
)

// committer writes to one stream what must be on disk. What comes while it is
// writing goes together into the next atomic batch, which costs one fsync
// however much is in it. Every message has an id, so that one whose attempt was
// unclear is written again without being there twice.
type committer struct {
	js  jetstream.JetStream
	log *slog.Logger
	// batches: the stream takes atomic batches.
	batches bool
	// crowd is how many waited when the latest batch was written, those in it
	// among them. It belongs to Run.
	crowd int
	wake  chan struct{} // holds one
	ended chan struct{}

	mu      sync.Mutex
	waiting []*commit // in the order of the calls
	closing bool
}

// commit is a message on its way to the disk.
type commit struct {
	msg *nats.Msg
	// lane: the messages of one keep their order.
	lane  string
	taken time.Time
	// unclear: an attempt may have stored it. err is what the latest ended with.
	unclear bool
	err     error
	// done is called once and must not block.
	done func(sequence uint64, duplicate bool, err error)
}

func newCommitter(conn *nats.Conn, batches bool, log *slog.Logger) (*committer, error) {
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(2*commitMessages),
		jetstream.WithPublishAsyncTimeout(attemptFor))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &committer{js: js, log: log, batches: batches, wake: make(chan struct{}, 1), ended: make(chan struct{})}, nil
}

// put takes a message, to be written after those that it took before.
func (c *committer) put(m *commit) {
	c.mu.Lock()
	closing := c.closing
	if !closing {
		m.taken = time.Now()
		c.waiting = append(c.waiting, m)
	}
	c.mu.Unlock()
	if closing {
		m.done(0, false, ErrClosed)
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run writes until close was called and all is written, or ctx ends, which
// fails what is left.
func (c *committer) Run(ctx context.Context) {
	defer close(c.ended)
	took := time.Duration(0)
	for {
		c.gather(min(took/2, gatherFor))
		batch, more := c.take()
		switch {
		case len(batch) > 0:
			began := time.Now()
			c.write(ctx, batch)
			took = time.Since(began)
		case !more:
			return
		default:
			<-c.wake
		}
	}
}

// gather waits a little until as many wait as did lately: those who were just
// answered are about to come again, and a batch costs the same with them. A
// lone sender does not wait.
func (c *committer) gather(most time.Duration) {
	if c.queued() == 0 { // then Run waits for the first of them
		return
	}
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	for c.queued() < min(c.crowd, commitMessages) {
		select {
		case <-c.wake:
		case <-deadline.C:
			return
		}
	}
}

func (c *committer) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// close takes no more, and waits until what was taken is written; what is not
// when ctx ends, fails; cut ends Run's ctx.
func (c *committer) close(ctx context.Context, cut func()) {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		cut()
		<-c.ended
	}
}

// take takes a batch off what waits. more says that more may come.
func (c *committer) take() (batch []*commit, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, 0
	for n < len(c.waiting) && n < commitMessages && size < commitBytes {
		size += len(c.waiting[n].msg.Data)
		n++
	}
	batch = c.waiting[:n:n]
	if c.waiting = c.waiting[n:]; len(c.waiting) == 0 {
		c.waiting = nil
	}
	return batch, !c.closing
}

// write answers each of the batch.
func (c *committer) write(ctx context.Context, batch []*commit) {
	for {
		batch = fresh(ctx, batch)
		if batch = c.attempt(ctx, batch); len(batch) == 0 {
			return
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
}

// fresh answers those that have waited too long and returns the others.
func fresh(ctx context.Context, batch []*commit) []*commit {
	var rest []*commit
	for _, m := range batch {
		switch {
		case ctx.Err() != nil:
			m.fail(ErrClosed)
		case time.Since(m.taken) > commitFor:
			m.fail(fmt.Errorf("%w: %w", errLate, cmp.Or(m.err, errBusy)))
		default:
			rest = append(rest, m)
		}
	}
	return rest
}

func (m *commit) fail(err error) {
	if m.unclear {
		err = fmt.Errorf("%w: %w", ErrUnclear, err)
	}
	m.done(0, false, err)
}

func (m *commit) stored(sequence uint64, duplicate bool) {
	// After an unclear attempt it is our own that is there.
	m.done(sequence, duplicate && !m.unclear, nil)
}

// attempt writes the batch and returns what is to be tried again.
func (c *committer) attempt(ctx context.Context, batch []*commit) (rest []*commit) {
	// What was unclear may be stored, which is at fault in a batch each time; and
	// the server may have no room to put one together.
	if len(batch) < commitTogether || !c.batches || slices.ContainsFunc(batch, func(m *commit) bool { return m.unclear }) {
		c.crowd = len(batch) + c.queued()
		return c.oneByOne(ctx, batch)
	}
	sequence, err := c.together(ctx, batch)
	// Counted before they are answered: who comes again at once is no one more.
	c.crowd = len(batch) + c.queued()
	if err == nil {
		first := sequence + 1 - uint64(len(batch))
		for i, m := range batch {
			m.stored(first+uint64(i), false)
		}
		return nil
	}
	switch refusal(err) {
	case refused:
		// One of them is at fault.
		half := len(batch) / 2
		if rest = c.attempt(ctx, batch[:half]); len(rest) > 0 {
			return append(rest, batch[half:]...)
		}
		return c.attempt(ctx, batch[half:])
	case notTaken:
		c.log.Warn("the NATS server takes no atomic batches; actions are stored one by one, which is slower", "error", err)
		c.batches = false
		return c.oneByOne(ctx, batch)
	case unclear:
		for _, m := range batch {
			m.unclear = true
		}
	}
	c.log.Debug("a batch is written again", "messages", len(batch), "error", err)
	for _, m := range batch {
		m.err = err
	}
	return batch
}

// together writes one atomic batch and returns the sequence of its last
// message; those of a batch follow each other.
func (c *committer) together(ctx context.Context, batch []*commit) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptFor)
	defer cancel()
	messages := make([]*nats.Msg, len(batch))
	for i, m := range batch {
		messages[i] = m.msg
	}
	// Waiting for the first's acknowledgement would tell nothing that the
	// last's does not.
	ack, err := jetstreamext.PublishMsgBatch(ctx, c.js, messages, jetstreamext.BatchFlowControl{})
	for _, m := range messages {
		m.Header.Del(jetstreamext.BatchIDHeader)
		m.Header.Del(jetstreamext.BatchSeqHeader)
		m.Header.Del(jetstreamext.BatchCommitHeader)
	}
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// oneByOne writes each by itself: one of each lane at a time, since a window
// of unacknowledged writes reorders when NATS restarts.
func (c *committer) oneByOne(ctx context.Context, batch []*commit) (rest []*commit) {
	for len(batch) > 0 {
		var wave, later []*commit
		seen := map[string]bool{}
		for _, m := range batch {
			if seen[m.lane] {
				later = append(later, m)
				continue
			}
			seen[m.lane] = true
			wave = append(wave, m)
		}
		if again := c.wave(ctx, wave); len(again) > 0 {
			return append(again, later...)
		}
		batch = later
	}
	return nil
}

// wave writes messages of which none depends on another.
func (c *committer) wave(ctx context.Context, wave []*commit) (again []*commit) {
	futures := make([]jetstream.PubAckFuture, len(wave))
	errs := make([]error, len(wave))
	for i, m := range wave {
		futures[i], errs[i] = c.js.PublishMsgAsync(m.msg, jetstream.WithRetryAttempts(0))
	}
	for i, m := range wave {
		err := errs[i]
		if err == nil {
			select {
			case ack := <-futures[i].Ok():
				m.stored(ack.Sequence, ack.Duplicate)
				continue
			case err = <-futures[i].Err():
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		switch refusal(err) {
		case refused, notTaken:
			m.fail(err)
			continue
		case unclear:
			m.unclear = true
		}
		m.err = err
		again = append(again, m)
	}
	return again
}

// What a failed attempt says of what was to be written.
const (
	unclear  = iota // it may be stored
	refused         // it is not, and will not be as it is
	notThere        // it is not: nobody took it
	notTaken        // it is not, because it is a batch
)

func refusal(err error) int {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		switch api.ErrorCode {
		case jetstreamext.JSErrCodeBatchPublishNotEnabled:
			return notTaken
		case codeStoreFailed:
			// Full, or failed halfway: then a restart may bring it back.
			if strings.HasPrefix(api.Description, "maximum ") {
				return refused
			}
			return unclear
		}
		return refused
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg):
		return refused
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, jetstream.ErrTooManyStalledMsgs):
		return notThere
	}
	return unclear
}
