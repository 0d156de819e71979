package bridge

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/bridge/reconcile"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// inbound makes events of what an account's backend says, by its socket or by
// REST, and publishes them. One goroutine calls frame.
type inbound struct {
	account   string
	source    string
	bus       *bus.Bus
	outbox    *outbox.Outbox
	reconcile *reconcile.Reconciler
	tracer    *tracing.Tracer
	log       *slog.Logger
	counts    inboundCounts
}

type inboundCounts struct {
	published, replayed, duplicates, live, quarantined, complaints, lost atomic.Uint64

	mu       sync.Mutex
	received map[event.Type]uint64
}

// InboundStatus counts what came from a backend since the bridge began.
type InboundStatus struct {
	// Received counts events by type; types that this version does not know
	// are together under "other".
	Received map[event.Type]uint64 `json:"received"`
	// Published are in the stream, Duplicates were there already, Live were
	// passed on and not stored. Replayed are those of Published that the socket
	// did not bring.
	Published  uint64 `json:"published"`
	Replayed   uint64 `json:"replayed"`
	Duplicates uint64 `json:"duplicates"`
	Live       uint64 `json:"live"`
	// Quarantined could not be read, and Lost could not be published at all.
	Quarantined uint64 `json:"quarantined"`
	Lost        uint64 `json:"lost"`
	// Complaints are errors that the backend reported.
	Complaints uint64 `json:"complaints"`
}

const otherTypes event.Type = "other"

func (c *inboundCounts) countReceived(t event.Type) {
	switch t {
	case event.ConversationNew, event.ConversationUpdated, event.MessageNew, event.MessageUpdated,
		event.TypingStart, event.TypingStop:
	default:
		t = otherTypes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received == nil {
		c.received = map[event.Type]uint64{}
	}
	c.received[t]++
}

func (c *inboundCounts) status() InboundStatus {
	s := InboundStatus{
		Received: map[event.Type]uint64{}, Published: c.published.Load(), Replayed: c.replayed.Load(), Duplicates: c.duplicates.Load(), Live: c.live.Load(),
		Quarantined: c.quarantined.Load(), Lost: c.lost.Load(), Complaints: c.complaints.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for t, n := range c.received {
		s.Received[t] = n
	}
	return s
}

// frame takes one frame of the link. It blocks while the stream takes no more,
// and the socket with it.
func (in *inbound) frame(ctx context.Context, f connectors.Frame) error {
	switch f.Kind {
	case connectors.Event:
		return in.event(ctx, f)
	case connectors.Unreadable:
		in.reconcile.Suspect()
		return in.quarantine(ctx, f)
	case connectors.Complaint:
		in.reconcile.Suspect()
		in.counts.complaints.Add(1)
		in.outbox.Complained(f.Text)
		if f.ClientRef != "" {
			in.outbox.Refused(f.ClientRef, f.Text)
		}
		in.log.Warn("the backend reports an error", "text", f.Text)
	}
	return nil
}

// event takes an event of the socket.
func (in *inbound) event(ctx context.Context, f connectors.Frame) error {
	in.counts.countReceived(f.Type)
	e := in.envelope(f, reconcile.Identity(in.account, f), false)
	if e.Type.Live() {
		in.counts.live.Add(1)
		if err := in.bus.PublishLive(e); err != nil {
			in.log.Debug("typing was not passed on", "error", err)
		}
		return nil
	}
	return in.reconcile.Take(ctx, f, e)
}

// envelope makes the event that a frame tells. It is called for every event of
// the account, in order: that is when the echo of an action is known.
func (in *inbound) envelope(f connectors.Frame, id string, replayed bool) event.Event {
	e := event.Event{
		ID: id, Type: f.Type, Source: in.source, Replayed: replayed,
		Account: in.account, Conversation: f.Conversation, Time: f.Time, Data: f.Data,
	}
	if e.Time.IsZero() {
		e.Time = f.Received
	}
	in.outbox.Claim(&e, f.ClientRef)
	return e
}

// publish gives an event to the stream: one of the socket, or one that is
// replayed.
func (in *inbound) publish(ctx context.Context, item reconcile.Item) error {
	e := item.Event
	if e == nil {
		in.counts.countReceived(item.Frame.Type)
		in.counts.replayed.Add(1)
		replayed := in.envelope(item.Frame, item.ID, true)
		e = &replayed
	}
	span := in.trace(e, item.Frame)
	return in.bus.Publish(ctx, *e, func(p bus.Publication) {
		switch {
		case p.Err != nil:
			in.counts.lost.Add(1)
			in.log.Error("event cannot be published", tracing.Log(e.TraceID()), "event", e.ID, "bytes", len(e.Data), "error", p.Err)
		case p.Duplicate:
			in.counts.duplicates.Add(1)
		default:
			in.counts.published.Add(1)
		}
		in.reconcile.Stored(e.ID, p.Sequence)
		end(span, p)
	})
}

// trace begins the trace of what the frame causes. An echo belongs to the
// trace of its action by a link: as a part of it, a conversation between bots
// would be one trace without end.
func (in *inbound) trace(e *event.Event, f connectors.Frame) *tracing.Span {
	if in.tracer == nil {
		return nil
	}
	template := in.bus.EventTemplate()
	span := in.tracer.Start(tracing.Start{
		Name: "send " + template, Kind: trace.SpanKindProducer, At: f.Received,
		Link: tracing.Context{Parent: e.TraceParent, State: e.TraceState},
		Attributes: append(tracing.Messaging("send", template, e.ID, e.Conversation),
			attribute.String("switchboard.account", e.Account), attribute.String("cloudevents.event_type", string(e.Type))),
	})
	c := span.Context()
	e.TraceParent, e.TraceState = c.Parent, c.State
	return span
}

func end(span *tracing.Span, p bus.Publication) {
	switch {
	case p.Err != nil:
		span.End(p.Err.Error())
	case p.Duplicate:
		span.Event("duplicate")
		span.End("")
	default:
		span.End("")
	}
}

// quarantineRetry is the pause before a frame is put into quarantine again.
const quarantineRetry = time.Second

// quarantine keeps a frame that cannot be read; nothing is read after it
// before it is kept.
func (in *inbound) quarantine(ctx context.Context, f connectors.Frame) error {
	in.log.Warn("frame in quarantine", "reason", f.Fault, "bytes", len(f.Raw))
	for {
		err := in.bus.Quarantine(ctx, in.account, f.Raw, f.Fault.Error())
		if err == nil {
			in.counts.quarantined.Add(1)
			return nil
		}
		in.log.Warn("a frame waits for its quarantine", "error", err)
		select {
		case <-time.After(quarantineRetry):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
