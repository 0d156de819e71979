package outbox

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// traceQueued begins the span of an action's way into the queue, as part of
// what asked for it.
func (o *Outbox) traceQueued(a *event.Action, sender string) *tracing.Span {
	return o.trace(a, "send", trace.SpanKindProducer, sender)
}

func endQueued(span *tracing.Span, duplicate bool, err error) {
	if duplicate {
		span.Event("duplicate")
	}
	if err != nil {
		span.End(err.Error())
		return
	}
	span.End("")
}

// traceProcessing begins the span of an action's way to the backend, which
// ends when the backend has confirmed it or it has failed. What confirms it
// links to it.
func (o *Outbox) traceProcessing(j *job) {
	if j.span == nil {
		j.span = o.trace(&j.Action, "process", trace.SpanKindConsumer, j.Sender)
	}
}

func endProcessing(j *job) {
	if j.span == nil {
		return
	}
	j.span.Set(attribute.String("switchboard.action.result", string(j.end)), attribute.Int("switchboard.attempt", j.entry.Attempts))
	j.span.End(j.entry.Reason)
}

// trace begins a span about an action, and puts what follows under it.
func (o *Outbox) trace(a *event.Action, operation string, kind trace.SpanKind, sender string) *tracing.Span {
	if o.tracer == nil {
		return nil
	}
	template := o.o.Bus.QueueTemplate()
	span := o.tracer.Start(tracing.Start{
		Name: operation + " " + template, Kind: kind,
		Parent: tracing.Context{Parent: a.TraceParent, State: a.TraceState},
		Attributes: append(tracing.Messaging(operation, template, a.ID, a.Conversation),
			attribute.String("switchboard.account", a.Account), attribute.String("switchboard.action.type", string(a.Type)),
			attribute.String("switchboard.sender", sender)),
	})
	c := span.Context()
	a.TraceParent, a.TraceState = c.Parent, c.State
	return span
}
