package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ActionRequest is an action that somebody sent over NATS, to be answered once.
type ActionRequest struct {
	// Action is what was asked for; nothing of it is checked.
	Action event.Action
	// Err says why the request is not even an action.
	Err error

	msg    *nats.Msg
	stream string
}

// Answer is what a sender is told, in the shape of a JetStream acknowledgement,
// so that any client's JetStream publish understands it.
type Answer struct {
	// Sequence is the action's place in the queue; 0 for typing.
	Sequence uint64
	// Duplicate: the same id was accepted before, and is done once.
	Duplicate bool
	// Err is why it was not accepted; Code goes with it, as in HTTP.
	Err  error
	Code int
}

// ServeActions calls fn for each action that is sent over NATS, one after the
// other, until stop is called. fn must not block for long.
func (b *Bus) ServeActions(fn func(*ActionRequest)) (stop func(), err error) {
	sub, err := b.conn.Subscribe(b.subjects.action(), func(m *nats.Msg) {
		r := &ActionRequest{msg: m, stream: b.streams.actions}
		r.Action, r.Err = b.subjects.readAction(m, b.subjects.actionHead())
		fn(r)
	})
	if err != nil {
		return nil, fmt.Errorf("listen to actions: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails when the connection is closed, which is as good
}

func (s subjects) readAction(m *nats.Msg, head string) (a event.Action, err error) {
	if a.Account, a.Conversation, a.Type, err = s.parseAction(m.Subject, head); err != nil {
		return a, err
	}
	a.ID, a.Body = m.Header.Get(nats.MsgIdHdr), m.Data
	a.TraceParent, a.TraceState = m.Header.Get(headerTraceParent), m.Header.Get(headerTraceState)
	if a.At, err = timeHeader(m.Header, headerAt); err != nil {
		return a, err
	}
	a.Expires, err = timeHeader(m.Header, headerExpires)
	return a, err
}

func timeHeader(h nats.Header, name string) (time.Time, error) {
	v := h.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return t, fmt.Errorf("header %s: %q is not a time as RFC 3339 has them, such as 2026-01-02T15:04:05Z", name, v)
	}
	return t, nil
}

// Answer tells the sender. A sender that did not ask for an answer gets none.
func (r *ActionRequest) Answer(a Answer) error {
	if r.msg.Reply == "" {
		return nil
	}
	type apiError struct {
		Code        int    `json:"code"`
		Description string `json:"description"`
	}
	body := struct {
		Error     *apiError `json:"error,omitempty"`
		Stream    string    `json:"stream,omitempty"`
		Sequence  uint64    `json:"seq,omitempty"`
		Duplicate bool      `json:"duplicate,omitempty"`
	}{Stream: r.stream, Sequence: a.Sequence, Duplicate: a.Duplicate}
	if a.Err != nil {
		body.Stream, body.Error = "", &apiError{a.Code, a.Err.Error()}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("answer an action: %w", err)
	}
	return r.msg.Respond(data)
}

// Enqueue puts a checked action into its account's queue, in the order of the
// calls. hash tells its payload from another's. Nothing of a sender goes into
// the message but what is in the action. done is called once, maybe before
// Enqueue returns, when the action is on disk or was not accepted, which takes
// no longer than 5 s; it must not block. An error that matches [ErrUnclear]
// says that the action may be in the queue all the same.
func (b *Bus) Enqueue(sender string, a event.Action, hash string, done func(sequence uint64, duplicate bool, err error)) {
	if err := b.Trouble(); err != nil {
		done(0, false, fmt.Errorf("queue action: %w", err))
		return
	}
	h := nats.Header{
		nats.MsgIdHdr: {durable(a.Account) + "/" + durable(sender) + "/" + a.ID},
		headerAccount: {a.Account}, headerSubject: {a.Conversation}, headerType: {string(a.Type)},
		headerBy: {sender}, headerAction: {a.ID}, headerHash: {hash},
	}
	if !a.At.IsZero() {
		h[headerAt] = []string{a.At.UTC().Format(time.RFC3339Nano)}
	}
	if !a.Expires.IsZero() {
		h[headerExpires] = []string{a.Expires.UTC().Format(time.RFC3339Nano)}
	}
	if a.TraceParent != "" {
		h[headerTraceParent], h[headerTraceState] = []string{oneLine(a.TraceParent)}, []string{oneLine(a.TraceState)}
	}
	b.actions.put(&commit{
		msg:  &nats.Msg{Subject: b.subjects.queue(a), Header: h, Data: a.Body},
		lane: a.Account + "\x00" + a.Conversation,
		done: func(sequence uint64, duplicate bool, err error) {
			if err != nil {
				err = fmt.Errorf("queue action: %w", err)
			}
			done(sequence, duplicate, err)
		},
	})
}

// Queue is the durable queue of one account's actions. One goroutine calls
// Next.
type Queue struct {
	bus      *Bus
	config   jetstream.ConsumerConfig
	messages jetstream.MessagesContext
}

// Queued is one action in the queue. It comes again, also after a restart,
// until it is done.
type Queued struct {
	Action event.Action
	// Sender is whose it is.
	Sender string
	// Accepted is when it got into the queue.
	Accepted time.Time
	// Sequence is its place there; it tells one action from another.
	Sequence uint64
	// Hash tells its payload from another's.
	Hash string

	bus     *Bus
	headers nats.Header
	msg     jetstream.Msg // nil: it was read where it lies
}

// OpenQueue opens an account's queue at its oldest action that is not done.
// At most held actions are out at once.
func (b *Bus) OpenQueue(ctx context.Context, account string, held int) (*Queue, error) {
	consumer, err := b.ensureConsumer(ctx, b.streams.actions, jetstream.ConsumerConfig{
		Durable: "outbox_" + durable(account), FilterSubjects: []string{b.subjects.queued(account)},
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: held,
	})
	if err != nil {
		return nil, fmt.Errorf("open the queue of account %s: %w", account, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(min(prefetch, held)),
		jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return nil, fmt.Errorf("pull from the queue of account %s: %w", account, err)
	}
	return &Queue{b, consumer.CachedInfo().Config, messages}, nil
}

// Next waits for the next action.
func (q *Queue) Next(ctx context.Context) (*Queued, error) {
	msg, err := q.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, err
	}
	var accepted time.Time
	var sequence uint64
	if meta, err := msg.Metadata(); err == nil {
		accepted, sequence = meta.Timestamp, meta.Sequence.Stream
	}
	queued := newQueued(q.bus, msg.Headers(), msg.Data(), accepted, sequence)
	queued.msg = msg
	return queued, nil
}

// Widen sets how many actions may be out at once.
func (q *Queue) Widen(ctx context.Context, held int) error {
	config := q.config
	config.MaxAckPending = held
	if _, err := q.bus.js.UpdateConsumer(ctx, q.bus.streams.actions, config); err != nil {
		return fmt.Errorf("widen the window of %s: %w", config.Durable, err)
	}
	return nil
}

// Close ends the consumer. What is not done stays in the queue.
func (q *Queue) Close() { q.messages.Stop() }

// Done takes the action out of the queue and returns when it is out.
func (q *Queued) Done(ctx context.Context) error {
	if q.msg != nil {
		return q.msg.DoubleAck(ctx)
	}
	if err := q.bus.remove(ctx, q.bus.streams.actions, q.Sequence); err != nil {
		return fmt.Errorf("take action %s out of the queue: %w", q.Action.ID, err)
	}
	return nil
}

// Hold says that the action is being worked on.
func (q *Queued) Hold() error {
	if q.msg == nil {
		return nil
	}
	return q.msg.InProgress()
}

// Later puts an action that [Queue.Next] gave back; it comes again after d, or
// after a restart. Until then it still counts as out.
func (q *Queued) Later(d time.Duration) error { return q.msg.NakWithDelay(d) }

// Bury stores the action as a dead letter of the outbox.
func (q *Queued) Bury(ctx context.Context, reason string, attempts int) error {
	return q.bus.bury(ctx, OutboxOwner, "", q.Action.Account, q.Action.Conversation, q.headers, q.Action.Body, reason, attempts)
}
