package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

const (
	// window is how many events may be on their way into the stream.
	window = 1024
	// ackTimeout is how long an acknowledgement may take before the event is
	// published again.
	ackTimeout = 5 * time.Second
	// republishAfter is the pause before that. It is short and constant: the
	// window bounds how many try, and the client knows when NATS is back.
	republishAfter = 250 * time.Millisecond
)

// Publication is what became of a published event.
type Publication struct {
	// Sequence is its place in the stream; that of the first where it is a
	// Duplicate, and 0 where it cannot be published.
	Sequence uint64
	// Duplicate: an event of that id was in the stream already.
	Duplicate bool
	// Err is not nil when the event cannot be published at all.
	Err error
}

// publisher keeps a window of events on their way, with at most one
// unacknowledged per conversation: a window without that rule reorders when
// NATS restarts.
type publisher struct {
	js  jetstream.JetStream
	log *slog.Logger
	// room has a token for each event that was taken and is not done.
	room chan struct{}

	mu    sync.Mutex
	lanes map[string][]*publication  // by conversation; the first is on its way
	sent  map[*nats.Msg]*publication // on their way
	// draining: drain was called; ended: nothing is published any more.
	draining, ended bool
}

type publication struct {
	msg  *nats.Msg
	lane string
	done func(Publication)
}

func newPublisher(conn *nats.Conn, log *slog.Logger) (*publisher, error) {
	p := &publisher{
		log: log, room: make(chan struct{}, window),
		lanes: map[string][]*publication{}, sent: map[*nats.Msg]*publication{},
	}
	js, err := jetstream.New(conn,
		jetstream.WithPublishAsyncMaxPending(window+1), jetstream.WithPublishAsyncTimeout(ackTimeout),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, a *jetstream.PubAck) {
			p.acked(m, Publication{Sequence: a.Sequence, Duplicate: a.Duplicate})
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) { p.failed(m, err) }))
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	p.js = js
	return p, nil
}

// Publish takes an event of a stored type. It blocks while the window is full.
// done is called once, when the event is in the stream or cannot be; it must
// not block.
func (b *Bus) Publish(ctx context.Context, e event.Event, done func(Publication)) error {
	return b.events.publish(ctx, &publication{
		msg: b.subjects.encode(e), lane: e.Account + "\x00" + e.Conversation, done: done,
	})
}

func (p *publisher) publish(ctx context.Context, pub *publication) error {
	select {
	case p.room <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[pub.lane] = append(p.lanes[pub.lane], pub)
	if len(p.lanes[pub.lane]) == 1 {
		p.send(pub)
	}
	return nil
}

// send puts the head of a lane on its way. The caller holds the lock.
func (p *publisher) send(pub *publication) {
	p.sent[pub.msg] = pub
	_, err := p.js.PublishMsgAsync(pub.msg)
	switch {
	case err == nil:
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
		delete(p.sent, pub.msg)
		p.finish(pub, Publication{Err: err})
	default:
		p.failed(pub.msg, err)
	}
}

func (p *publisher) acked(m *nats.Msg, result Publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pub := p.sent[m]; pub != nil {
		delete(p.sent, m)
		p.finish(pub, result)
	}
}

// failed publishes again, a little later. The client calls it with a lock of
// its own held, under which it must neither publish nor wait for one of ours.
func (p *publisher) failed(m *nats.Msg, err error) {
	p.log.Debug("event is published again", "subject", m.Subject, "error", err)
	time.AfterFunc(republishAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if pub := p.sent[m]; pub != nil && !p.ended {
			p.send(pub)
		}
	})
}

// finish takes the head off its lane and sends the next. The caller holds the
// lock.
func (p *publisher) finish(pub *publication, result Publication) {
	<-p.room
	pub.done(result)
	rest := p.lanes[pub.lane][1:]
	if len(rest) == 0 {
		delete(p.lanes, pub.lane)
		return
	}
	p.lanes[pub.lane] = rest
	p.send(rest[0])
}

// drain waits until everything taken is in the stream, or ctx ends; what is
// not there by then is given up. It is done once.
func (p *publisher) drain(ctx context.Context) error {
	p.mu.Lock()
	draining := p.draining
	p.draining = true
	p.mu.Unlock()
	if draining {
		return nil
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = true
	}()
	for done := range cap(p.room) {
		select {
		case p.room <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("%d events were not in the stream in time", cap(p.room)-done)
		}
	}
	return nil
}
