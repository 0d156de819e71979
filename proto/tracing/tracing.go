// Package tracing carries OpenTelemetry's spans across NATS, gRPC and restarts,
// where a context.Context does not go: as the W3C trace context that events
// and actions have among their attributes.
//
// A nil *Tracer traces nothing and costs a comparison, so the hot path calls it
// unconditionally. The SDK and its exporters are named in cmd alone.
package tracing

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Log is a trace's id as log records have it; nothing without one.
func Log(id string) slog.Attr {
	if id == "" {
		return slog.Attr{}
	}
	return slog.String("trace_id", id)
}

// Context is a span's place in its trace, as the headers traceparent and
// tracestate have it (https://www.w3.org/TR/trace-context/). The zero value is
// none.
type Context struct{ Parent, State string }

// Tracer makes spans. A nil Tracer makes nil ones.
type Tracer struct{ tracer trace.Tracer }

// New returns a tracer of one part of Switchboard; nil without a provider.
func New(p trace.TracerProvider, scope string) *Tracer {
	if p == nil {
		return nil
	}
	return &Tracer{p.Tracer("github.com/switchboard-dev/switchboard/" + scope)}
}

// Start describes a span to begin.
type Start struct {
	// Name is "operation destination", with a template for what is not bounded.
	Name string
	Kind trace.SpanKind
	// Parent is what it is part of; none: it begins a trace.
	Parent Context
	// Link is another span that it belongs to without being part of it.
	Link Context
	// At is when it began; zero: now.
	At         time.Time
	Attributes []attribute.KeyValue
}

// Span is one under way. Nil, it does nothing. It is for one goroutine at a
// time.
type Span struct {
	span    trace.Span
	context Context
}

// Start begins a span.
func (t *Tracer) Start(s Start) *Span {
	if t == nil {
		return nil
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(s.Kind), trace.WithAttributes(s.Attributes...)}
	if !s.At.IsZero() {
		options = append(options, trace.WithTimestamp(s.At))
	}
	if s.Link.Parent != "" {
		options = append(options, trace.WithLinks(trace.LinkFromContext(extract(s.Link))))
	}
	ctx, span := t.tracer.Start(extract(s.Parent), s.Name, options...)
	return &Span{span, inject(ctx)}
}

// Context is where the span stands; what it causes is part of it.
func (s *Span) Context() Context {
	if s == nil {
		return Context{}
	}
	return s.context
}

// Set adds attributes.
func (s *Span) Set(attributes ...attribute.KeyValue) {
	if s != nil {
		s.span.SetAttributes(attributes...)
	}
}

// Event marks a moment in the span.
func (s *Span) Event(name string) {
	if s != nil {
		s.span.AddEvent(name)
	}
}

// End ends the span; a reason says that it failed.
func (s *Span) End(reason string) {
	if s == nil {
		return
	}
	if reason != "" {
		s.span.SetStatus(codes.Error, reason)
	}
	s.span.End()
}

var w3c propagation.TraceContext

func extract(c Context) context.Context {
	if c.Parent == "" {
		return context.Background()
	}
	return w3c.Extract(context.Background(), propagation.MapCarrier{"traceparent": c.Parent, "tracestate": c.State})
}

func inject(ctx context.Context) Context {
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return Context{carrier["traceparent"], carrier["tracestate"]}
}
