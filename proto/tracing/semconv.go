package tracing

import "go.opentelemetry.io/otel/attribute"

// Messaging are the attributes of OpenTelemetry's semantic conventions for a
// span about a message on NATS
// (https://opentelemetry.io/docs/specs/semconv/messaging/). operation is
// "send" or "process"; template is the subject with {…} for what is not
// bounded.
func Messaging(operation, template, id, conversation string) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.destination.template", template),
		attribute.String("messaging.message.id", id),
	}
	if conversation != "" {
		list = append(list, attribute.String("messaging.message.conversation_id", conversation))
	}
	return list
}
