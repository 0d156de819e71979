// Package event defines what travels through Switchboard: the envelope of an
// event, the values an event's data decodes to, and the actions that go back.
//
// It is plain Go and imports nothing but the standard library, so that a
// plugin, a connector and the bridge can all share it. Its shapes are those of
// the account protocol; a connector for another backend translates into them.
// The directory schema holds the same shapes as JSON Schemas, for everyone who
// does not write Go.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Type names what an event tells. Types that a newer backend sends and this
// version does not know are carried like any other.
type Type string

// The events of a backend, and the four that tell what became of an action.
const (
	ConversationNew     Type = "conversation.new"
	ConversationUpdated Type = "conversation.updated"
	MessageNew          Type = "message.new"
	MessageUpdated      Type = "message.updated"
	TypingStart         Type = "typing.start"
	TypingStop          Type = "typing.stop"

	ActionSent      Type = "action.sent"
	ActionConfirmed Type = "action.confirmed"
	ActionFailed    Type = "action.failed"
	ActionExpired   Type = "action.expired"
)

// Types are the types that this version knows.
var Types = []Type{
	ConversationNew, ConversationUpdated, MessageNew, MessageUpdated, TypingStart, TypingStop,
	ActionSent, ActionConfirmed, ActionFailed, ActionExpired,
}

// Live reports whether events of the type are passed on as they happen and
// stored nowhere: typing.
func (t Type) Live() bool { return t == TypingStart || t == TypingStop }

// Event is the envelope of one event. Its attributes are those of a
// CloudEvent; Data is what the backend said, byte for byte.
//
// An Event is a value: whoever receives one must not write to Data.
type Event struct {
	// ID tells what is the same: two deliveries with one ID are one event.
	ID string
	// Type is the event's type.
	Type Type
	// Source is the account as a URI reference, the CloudEvents "source".
	Source string
	// Account is the account's name in the configuration.
	Account string
	// Conversation is the conversation's id; empty when an event has none.
	Conversation string
	// Time is when it happened: the backend's time where its data has one,
	// else when the bridge received it.
	Time time.Time
	// Replayed marks what was fetched by REST after it had been missed.
	Replayed bool
	// By names the sender (a plugin, a bot, "operator") whose action caused
	// the event; empty when nobody here did.
	By string
	// Action is the id that sender gave the action.
	Action string
	// TraceParent and TraceState are the W3C trace context; empty without one.
	TraceParent, TraceState string
	// Data is the payload: one JSON value.
	Data []byte
}

// TraceID is the id of the trace that the event belongs to; empty without one.
func (e Event) TraceID() string { return traceID(e.TraceParent) }

// traceID takes the second of the four fields of a traceparent
// (https://www.w3.org/TR/trace-context/#traceparent-header).
func traceID(parent string) string {
	fields := strings.Split(parent, "-")
	if len(fields) < 4 {
		return ""
	}
	return fields[1]
}

// ErrUnknownType is returned by Decode for a type this version has no value
// for. The event is no less valid: its Data is there to be read.
var ErrUnknownType = errors.New("no decoder for this type of event")

// Decode returns the event's data as a [Conversation], [Message], [Typing] or
// [ActionResult], by its type. Fields that those do not have are left out;
// they are in Data.
func (e Event) Decode() (any, error) {
	switch e.Type {
	case ConversationNew, ConversationUpdated:
		return decode[Conversation](e)
	case MessageNew, MessageUpdated:
		return decode[Message](e)
	case TypingStart, TypingStop:
		return decode[Typing](e)
	case ActionSent, ActionConfirmed, ActionFailed, ActionExpired:
		return decode[ActionResult](e)
	}
	return nil, fmt.Errorf("decode event %s of type %q: %w", e.ID, e.Type, ErrUnknownType)
}

func decode[T any](e Event) (any, error) {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return nil, fmt.Errorf("decode event %s of type %q: %w", e.ID, e.Type, err)
	}
	return v, nil
}
