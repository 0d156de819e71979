package feed

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// trace begins the span of a lane's head inside the plugin, and returns the
// event under it: what the plugin does is then part of it, though no plugin
// knows of OpenTelemetry.
func (f *Feed) trace(l *lane) event.Event {
	e := *l.queue[0].event
	if f.Tracer == nil {
		return e
	}
	l.span = f.Tracer.Start(tracing.Start{
		Name: "process " + f.Plugin, Kind: trace.SpanKindConsumer,
		Parent: tracing.Context{Parent: e.TraceParent, State: e.TraceState},
		Attributes: append(tracing.Messaging("process", "{plugin}/{feed}", e.ID, e.Conversation),
			attribute.String("messaging.consumer.group.name", f.Plugin+"_"+f.Name),
			attribute.String("switchboard.plugin", f.Plugin), attribute.String("switchboard.feed", f.Name),
			attribute.String("cloudevents.event_type", string(e.Type)), attribute.Int("switchboard.attempt", l.attempt)),
	})
	c := l.span.Context()
	e.TraceParent, e.TraceState = c.Parent, c.State
	return e
}

// failure is the reason of an outcome that is no success.
func failure(out *pluginv1.Outcome) string {
	switch r := out.GetResult().(type) {
	case *pluginv1.Outcome_Ack:
		return ""
	case *pluginv1.Outcome_Retry:
		return "retry: " + Clip(r.Retry.GetReason())
	case *pluginv1.Outcome_Pause:
		return "pause: " + Clip(r.Pause.GetReason())
	default:
		return "reject: " + Clip(out.GetReject().GetReason())
	}
}
