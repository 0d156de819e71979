package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// Link is the way to the backend.
type Link interface {
	// Send writes an action. link.ErrNotConnected says that nothing was
	// written.
	Send(ctx context.Context, a event.Action, ref string) error
	// Ready waits until there is a connection.
	Ready(ctx context.Context) error
	// Reconnect ends the connection and makes a new one.
	Reconnect(ctx context.Context) error
	// Status numbers the connections, and is Connected as long as the latest is
	// not closed.
	Status() link.Status
}

var _ Link = (*link.Link)(nil)

// Self is who the account writes as.
type Self struct {
	// SenderType and SenderID are as in a message; an empty type: not known.
	SenderType string
	SenderID   int64
}

// Options are what an outbox is made of.
type Options struct {
	Account string
	// Source is the account as its events name it.
	Source string
	Bus    *bus.Bus
	Link   Link
	// Self says which messages are our own, for backends that do not echo the
	// ref of an action. Where it is not known, any message that no contact
	// wrote may be.
	Self Self
	// Confirm is how long the echo of an action may take; default 15 s.
	Confirm time.Duration
	// NoEcho is for a backend that echoes nothing: what was written is
	// confirmed.
	NoEcho bool
	// Backend is where an action is looked for whose fate is unclear; nil: it is
	// not looked for, and ends as failed.
	Backend connectors.Reader
	// Settle is how long after its sending an action may still be done by the
	// backend; default 30 s. Before that an action that is not found is not
	// given up, or sent again.
	Settle time.Duration
	// Unclear says what becomes of an action that was looked for and not found;
	// default [Fail].
	Unclear Unclear
	// Attempts is how often an action is sent at most, those times included
	// that the backend turned it away for a while; default 8.
	Attempts int
	// Rate is how many actions are sent in a second, the senders taking turns;
	// 0: as many as can be. Typing is not among them.
	Rate float64
	// Held is how many actions may be out of the queue at once, beside those
	// whose time has not come; default 16,384. It is more than a sender may have
	// waiting by the limits of the door, so that one sender's actions do not
	// keep another's in the queue.
	Held int
	// Baseline is the highest id of a message that is known, for what was known
	// before this process began; nil: what Claim has seen since.
	Baseline func(conversation string) int64
	// Ledger reads the account's ledger; nil: what confirmed an action of an
	// earlier process is not remembered, and nothing can be told again.
	Ledger ReadLedger
	// Drain is how long actions under way may take when the outbox is stopped;
	// default 3 s.
	Drain time.Duration
	// Limits bound what waits.
	Limits Limits
	// Loop says when bots that answer each other are cut off.
	Loop Loop
	// TracerProvider makes the spans; nil: nothing is traced.
	TracerProvider trace.TracerProvider
	Log            *slog.Logger
}

// Outbox sends one account's actions.
type Outbox struct {
	o      Options
	tracer *tracing.Tracer
	counts counts
	echoes *echoes
	typing *typing
	turns  *turns
	// began is when Run did. It is set before the lanes run.
	began time.Time
	keys  *keys
	// waiters want to know what becomes of actions.
	waiters waiters
	// guard keeps bots from answering each other without end.
	guard *guard

	// asking has a token of each who asks the backend's REST.
	asking chan struct{}
	// closing is held by who has a connection closed, and closedAt is when that
	// was last done.
	closing  chan struct{}
	closedAt time.Time
	// reading is held by who reads the ledger, and readSince is from when on
	// it was read.
	reading   chan struct{}
	readSince time.Time

	mu     sync.Mutex
	lanes  map[string][]*job      // by conversation; the first is under way
	out    map[uint64]*bus.Queued // all that was taken off the queue and is not done
	parked map[uint64]struct{}    // what was put back until it is due
	// cancelling are those that are being cancelled, by their sequence.
	cancelling map[uint64]*job
	running    *running // nil: Run has not begun
}

// running is what Run's goroutines share.
type running struct {
	ctx, work context.Context
	working   *sync.WaitGroup
}

// job is an action that was taken off the queue, with what has become of it as
// far as this process knows. Its lane's goroutine alone touches it, but for its
// cancellation.
type job struct {
	*bus.Queued
	entry entry
	// known: the ledger was read. What it says may be older than entry, where
	// it could not be written.
	known bool
	// end is what the action ended as; empty: it has not.
	end event.Type
	// flight is its way to the backend; nil: it is not on it.
	flight *flight
	// covered: another did what it asks for; nil: none did.
	covered *covered
	// backoff is that of its retries; nil: there were none.
	backoff *backoff.ExponentialBackOff
	// span is that of its processing.
	span *tracing.Span
	// done: it has its end, and is out of the queue.
	done bool

	cancellation // the outbox's mutex guards it
}

type counts struct {
	accepted, duplicates, refused    atomic.Uint64
	sent, confirmed, failed, expired atomic.Uint64
}

// Status is a snapshot of an outbox; counts are since the bridge began.
type Status struct {
	// Accepted counts actions taken into the queue, Duplicates those whose id
	// was known, Refused those that could not be.
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Refused    uint64 `json:"refused"`
	// Sent counts actions written to the backend; the others what they ended
	// as.
	Sent      uint64 `json:"sent"`
	Confirmed uint64 `json:"confirmed"`
	Failed    uint64 `json:"failed"`
	Expired   uint64 `json:"expired"`
	// Waiting is how many are under way, or wait for their conversation's turn
	// or their time.
	Waiting int `json:"waiting"`
	// Typing counts typing actions sent, stops of our own among them.
	Typing uint64 `json:"typing"`
	// Looped counts the messages, of those refused, that were turns of bots
	// that answer each other.
	Looped uint64 `json:"looped"`
}

// New returns an outbox. It does nothing before Run, except that it takes
// typing.
func New(o Options) *Outbox {
	if o.Confirm <= 0 {
		o.Confirm = 15 * time.Second
	}
	if o.Drain <= 0 {
		o.Drain = 3 * time.Second
	}
	if o.Settle <= 0 {
		o.Settle = 30 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 8
	}
	if o.Held <= 0 {
		o.Held = 16_384
	}
	if o.Unclear == "" {
		o.Unclear = Fail
	}
	out := &Outbox{
		o: o, tracer: tracing.New(o.TracerProvider, "bridge/outbox"), echoes: newEchoes(o.Account, o.Self),
		typing: newTyping(o.Link, o.Log), turns: newTurns(o.Rate),
		asking: make(chan struct{}, askers), closing: make(chan struct{}, 1), reading: make(chan struct{}, 1),
		lanes: map[string][]*job{}, out: map[uint64]*bus.Queued{}, parked: map[uint64]struct{}{}, cancelling: map[uint64]*job{},
		keys: newKeys(o.Account, o.Limits),
	}
	out.guard = newGuard(o, out.echoes)
	out.keys.guard = out.guard
	return out
}

// Status is how the outbox stands now.
func (o *Outbox) Status() Status {
	o.mu.Lock()
	waiting := len(o.out) + len(o.parked)
	o.mu.Unlock()
	c := &o.counts
	return Status{
		Accepted: c.accepted.Load(), Duplicates: c.duplicates.Load(), Refused: c.refused.Load(),
		Sent: c.sent.Load(), Confirmed: c.confirmed.Load(), Failed: c.failed.Load(), Expired: c.expired.Load(),
		Waiting: waiting, Typing: o.typing.sent.Load(), Looped: o.guard.cuts.Load(),
	}
}

// Run sends until ctx ends. Then it takes no more, gives those under way their
// time, and stops every typing indicator that it has started.
func (o *Outbox) Run(ctx context.Context) error {
	defer o.typing.stopAll()
	o.began = time.Now()
	if err := o.remember(ctx, o.began.Add(-overlap-ledgerSlack)); err != nil {
		return err
	}
	queue, err := o.o.Bus.OpenQueue(ctx, o.o.Account, o.o.Held)
	if err != nil {
		return err
	}
	defer queue.Close()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// What is under way outlives ctx by the time to drain.
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	var working sync.WaitGroup
	defer working.Wait()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(o.o.Drain, func() { cut(fmt.Errorf("drained: %w", context.Cause(ctx))) })
	})()

	o.mu.Lock()
	o.running = &running{ctx, work, &working}
	o.mu.Unlock()
	working.Go(func() { o.hold(work) })
	working.Go(func() { o.turns.run(work) })
	window := o.o.Held
	for {
		q, err := queue.Next(ctx)
		if err != nil {
			stop(fmt.Errorf("take actions of account %s: %w", o.o.Account, err)) // where ctx has not ended
			o.drain(work)
			cut(context.Cause(ctx))
			return context.Cause(ctx)
		}
		o.mu.Lock()
		_, again := o.out[q.Sequence]
		delete(o.parked, q.Sequence)
		if !again {
			o.out[q.Sequence] = q
		}
		o.mu.Unlock()
		if again { // redelivered while we have it
			continue
		}
		wait := time.Until(q.Action.At)
		if wait > soon {
			window = o.park(ctx, queue, window, q, wait)
			continue
		}
		if wait > 0 {
			working.Go(func() { o.later(ctx, work, q, wait, &working) })
			continue
		}
		o.add(ctx, work, q, &working)
	}
}

// add puts the action in its conversation's lane, and starts the lane where it
// was empty.
func (o *Outbox) add(ctx, work context.Context, q *bus.Queued, working *sync.WaitGroup) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ours(q) {
		return
	}
	key := q.Action.Conversation
	o.lanes[key] = append(o.lanes[key], &job{Queued: q})
	if len(o.lanes[key]) == 1 {
		working.Go(func() { o.work(ctx, work, key) })
	}
}

// work sends a lane's actions one after the other until it is empty, or ctx
// has ended; what is under way then has until work ends.
func (o *Outbox) work(ctx, work context.Context, key string) {
	for {
		o.mu.Lock()
		lane := o.lanes[key]
		if len(lane) == 0 || ctx.Err() != nil {
			delete(o.lanes, key)
			for _, j := range lane {
				j.span.End("the bridge stopped")
				o.release(j)
			}
			o.mu.Unlock()
			return
		}
		j := lane[0]
		o.mu.Unlock()

		if err := o.process(ctx, work, j); err != nil && work.Err() == nil && ctx.Err() == nil {
			// The ledger or the queue cannot be written: the action waits, and
			// its conversation with it.
			o.o.Log.Warn("action waits", "action", j.Action.Type, "id", j.Action.ID, "error", err)
			pause(ctx)
			continue
		} else if err == nil {
			j.done = true
		}
		o.mu.Lock()
		o.lanes[key] = o.lanes[key][1:]
		o.release(j)
		o.mu.Unlock()
	}
}

// drain waits until nothing is under way, or work has ended.
func (o *Outbox) drain(work context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		o.mu.Lock()
		lanes := len(o.lanes)
		o.mu.Unlock()
		if lanes == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-work.Done():
			return
		}
	}
}
