package sdk

import "context"

// deliveryKey finds the delivery that a context is of.
type deliveryKey struct{}

// Trace is the W3C trace context of the event that ctx is the handler's of, for
// the headers traceparent and tracestate of what the handler calls; both empty
// where there is none. Actions carry it by themselves.
func Trace(ctx context.Context) (parent, state string) {
	d, _ := ctx.Value(deliveryKey{}).(*Delivery)
	if d == nil {
		return "", ""
	}
	return d.Event.TraceParent, d.Event.TraceState
}
