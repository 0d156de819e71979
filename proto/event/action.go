package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ActionType names what an action does, as it goes over the wire.
type ActionType string

// The actions of the account protocol.
const (
	SendMessage  ActionType = "send_message"
	UpdateStatus ActionType = "update_status"
	MarkAsRead   ActionType = "mark_as_read"
	StartTyping  ActionType = "start_typing"
	StopTyping   ActionType = "stop_typing"
)

// ActionTypes are all of them, in the order of the account protocol.
var ActionTypes = []ActionType{SendMessage, UpdateStatus, MarkAsRead, StartTyping, StopTyping}

// Known reports whether this version knows the action.
func (t ActionType) Known() bool {
	switch t {
	case SendMessage, UpdateStatus, MarkAsRead, StartTyping, StopTyping:
		return true
	}
	return false
}

// Live reports whether actions of the type are sent at once or dropped, never
// stored, and have no results: typing.
func (t ActionType) Live() bool { return t == StartTyping || t == StopTyping }

// Action is something a sender wants done to a conversation.
type Action struct {
	// ID is the sender's own name for the action: its idempotency key. The
	// same ID of the same sender is done once in 24 h. Not needed for typing.
	ID string `json:"id,omitempty"`
	// Type is what to do.
	Type ActionType `json:"type"`
	// Account and Conversation say where.
	Account      string `json:"account"`
	Conversation string `json:"conversation"`
	// Body has the action's own fields as a JSON object: a [SendMessageBody]
	// for send_message, an [UpdateStatusBody] for update_status, nothing or {}
	// for the others.
	Body json.RawMessage `json:"body,omitempty"`
	// At is the earliest time to send it; zero: now.
	At time.Time `json:"at,omitzero"`
	// Expires is when it is no longer worth sending; zero: the default of its
	// type (mark_as_read 1 h, others 24 h).
	Expires time.Time `json:"expires,omitzero"`
	// TraceParent and TraceState are the W3C trace context of what asked for
	// it; empty without one.
	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
}

// TraceID is the id of the trace that the action belongs to; empty without one.
func (a Action) TraceID() string { return traceID(a.TraceParent) }

// SendMessageBody is the body of send_message.
type SendMessageBody struct {
	// Content is the text; it must not be blank.
	Content string `json:"content"`
	// MessageType overrides the account's setting when it is given.
	MessageType *MessageType `json:"message_type,omitempty"`
}

// UpdateStatusBody is the body of update_status.
type UpdateStatusBody struct {
	Status Status `json:"status"`
}

// ErrInvalidAction is matched by every error of [Action.Check].
var ErrInvalidAction = errors.New("invalid action")

// MaxActionBody is the largest body of an action, in bytes.
const MaxActionBody = 256 << 10

// maxKey bounds what ends up in subjects and headers.
const maxKey = 256

// Check reports what is wrong with the action, as an error that matches
// [ErrInvalidAction] and tells the sender how to mend it. A field that the
// action does not have is an error: a typo must not be sent as silence.
func (a Action) Check() error {
	if err := a.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidAction, err)
	}
	return nil
}

func (a Action) check() error {
	switch {
	case !a.Type.Known():
		return fmt.Errorf("type %q is not one of %v", a.Type, ActionTypes)
	case a.Account == "":
		return errors.New("account is missing")
	case a.Conversation == "":
		return errors.New("conversation is missing")
	case len(a.Account) > maxKey, len(a.Conversation) > maxKey:
		return fmt.Errorf("account and conversation may have %d bytes each", maxKey)
	case a.ID == "" && !a.Type.Live():
		return fmt.Errorf("%s needs an id (over NATS: the header Nats-Msg-Id), so that it is done once", a.Type)
	case len(a.ID) > maxKey:
		return fmt.Errorf("id has %d bytes, %d are allowed", len(a.ID), maxKey)
	case strings.ContainsFunc(a.ID, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("id has control characters; use printable ones only")
	case !utf8.ValidString(a.ID), !utf8.ValidString(a.Account), !utf8.ValidString(a.Conversation):
		return errors.New("id, account and conversation must be UTF-8")
	case len(a.Body) > MaxActionBody:
		return fmt.Errorf("body has %d bytes, %d are allowed", len(a.Body), MaxActionBody)
	case !a.At.IsZero() && !a.Expires.IsZero() && a.Expires.Before(a.At):
		return errors.New("it expires before it is due")
	}
	if err := a.checkFields(); err != nil {
		return err
	}
	switch a.Type {
	case SendMessage:
		var b SendMessageBody
		if err := a.DecodeBody(&b); err != nil {
			return err
		}
		if strings.TrimSpace(b.Content) == "" {
			return errors.New(`send_message needs a "content" that is not blank`)
		}
		if t := b.MessageType; t != nil && (*t < MessageIncoming || *t > MessageTemplate) {
			return fmt.Errorf("message_type %d is not 0 (incoming), 1 (outgoing), 2 (activity) or 3 (template)", *t)
		}
	case UpdateStatus:
		var b struct {
			Status *Status `json:"status"`
		}
		if err := a.DecodeBody(&b); err != nil {
			return err
		}
		if b.Status == nil {
			return errors.New(`update_status needs a "status": 0 open, 1 resolved, 2 pending, 3 snoozed`)
		}
		if *b.Status < StatusOpen || *b.Status > StatusSnoozed {
			return fmt.Errorf("status %d is not 0 (open), 1 (resolved), 2 (pending) or 3 (snoozed)", *b.Status)
		}
	}
	return nil
}

// bodyFields are the fields of the bodies that have any.
var bodyFields = map[ActionType][]string{
	SendMessage:  {"content", "message_type"},
	UpdateStatus: {"status"},
}

// checkFields reports a body that is no object, and fields that it may not
// have. It is exact where encoding/json is not: "Content" is no content, for
// the backend gets the body as it is.
func (a Action) checkFields() error {
	if len(a.Body) == 0 {
		return nil
	}
	var have map[string]json.RawMessage
	if err := json.Unmarshal(a.Body, &have); err != nil {
		return fmt.Errorf("body of %s must be one JSON object: %w", a.Type, err)
	}
	if have == nil {
		return fmt.Errorf("body of %s must be one JSON object, not null; leave it out when there is nothing to say", a.Type)
	}
	for _, field := range slices.Sorted(maps.Keys(have)) {
		switch may := bodyFields[a.Type]; {
		case slices.Contains(may, field):
		case len(may) == 0:
			return fmt.Errorf("body of %s has a field %q; it must be empty", a.Type, field)
		default:
			return fmt.Errorf("body of %s has a field %q; it may have %s", a.Type, field, strings.Join(may, " and "))
		}
	}
	return nil
}

// DecodeBody decodes the body into v, refusing fields that v does not have. An
// empty body is an empty object.
func (a Action) DecodeBody(v any) error {
	if len(a.Body) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(a.Body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("body of %s: %q must be a %s, not %s", a.Type, wrong.Field, jsonKind(wrong.Type), wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("read body of %s: %w", a.Type, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read body of %s: more than one JSON value", a.Type)
	}
	return nil
}

// jsonKind is what JSON calls a type of a body's field.
func jsonKind(t reflect.Type) string {
	if t.Kind() == reflect.String {
		return "string"
	}
	return "whole number"
}

// ActionResult is the data of action.sent, action.confirmed, action.failed and
// action.expired.
type ActionResult struct {
	// ID, Type, Account and Conversation are the action's.
	ID           string     `json:"id"`
	Type         ActionType `json:"type"`
	Account      string     `json:"account"`
	Conversation string     `json:"conversation"`
	// By is the sender whose action it was.
	By string `json:"by"`
	// Reason says why it failed or expired; empty when it did not.
	Reason string `json:"reason,omitempty"`
	// Attempts is how often it was sent.
	Attempts int `json:"attempts"`
	// Event is the id of the event that confirmed it; empty when none did.
	Event string `json:"event,omitempty"`
}
