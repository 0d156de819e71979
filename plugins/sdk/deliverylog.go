package sdk

import (
	"context"
	"log/slog"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// deliveryLog says in each record which event it is about. It looks when there
// is a record: most handlers write none, and a logger made ready for each event
// was two thirds of what an event cost here.
type deliveryLog struct {
	slog.Handler
	event *event.Event
}

func (h *deliveryLog) attrs() []slog.Attr {
	e := h.event
	list := []slog.Attr{
		slog.String("event", e.ID), slog.String("type", string(e.Type)), slog.String("conversation", e.Conversation),
	}
	if trace := e.TraceID(); trace != "" {
		list = append(list, slog.String("trace_id", trace))
	}
	return list
}

func (h *deliveryLog) Handle(ctx context.Context, r slog.Record) error {
	return h.Handler.WithAttrs(h.attrs()).Handle(ctx, r)
}

func (h *deliveryLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.Handler.WithAttrs(append(h.attrs(), attrs...))
}

func (h *deliveryLog) WithGroup(name string) slog.Handler {
	return h.Handler.WithAttrs(h.attrs()).WithGroup(name)
}
