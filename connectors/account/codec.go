package account

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// parse reads a frame by one scan: it checks that all of it is JSON in valid
// UTF-8, finds where "data" is, and keeps the few fields by which events are
// routed. Nothing is decoded, so nothing is lost: data goes on byte for byte.
// Where a name stands twice, the last one counts, as in Python and JavaScript.
func parse(raw []byte) connectors.Frame {
	f := connectors.Frame{Raw: raw}
	var fields fields
	if err := scan(raw, &f, &fields); err != nil {
		return connectors.Frame{Raw: raw, Kind: connectors.Unreadable, Fault: err}
	}
	switch f.Type {
	case "pong":
		f.Kind = connectors.Pong
		return f
	case "error":
		f.Kind, f.Text, f.ClientRef = connectors.Complaint, fields.complaint, fields.clientRef
		if f.Text == "" {
			f.Text = string(f.Data)
		}
		return f
	}
	if f.Data == nil {
		return connectors.Frame{Raw: raw, Kind: connectors.Unreadable, Fault: errors.New(`no "data" object`)}
	}
	if err := fields.route(&f); err != nil {
		return connectors.Frame{Raw: raw, Kind: connectors.Unreadable, Fault: err}
	}
	return f
}

// fields are those of data that route an event.
type fields struct {
	id, conversation     string
	created, updated     string
	sender               string
	clientRef, complaint string
}

// route says what the event is about, by the rules of its type.
func (d *fields) route(f *connectors.Frame) error {
	f.Object, f.ClientRef, f.Conversation = d.id, d.clientRef, d.conversation
	switch f.Type {
	case event.ConversationNew, event.ConversationUpdated:
		f.Conversation = d.id
		if f.Type == event.ConversationNew {
			f.Time = when(d.created)
		}
	case event.MessageNew:
		f.Time, f.Updated, f.SenderType = when(d.created), when(d.updated), d.sender
	case event.MessageUpdated:
		f.Updated, f.SenderType = when(d.updated), d.sender
		f.Time = f.Updated
	case event.TypingStart, event.TypingStop:
		f.Object = ""
	default:
		return nil // a newer backend's: it goes out as it is
	}
	if f.Conversation == "" {
		return fmt.Errorf("%s does not say which conversation it belongs to", f.Type)
	}
	if f.Object == "" && !f.Type.Live() {
		return fmt.Errorf("%s has no id", f.Type)
	}
	return nil
}

// when reads a time; what is none is the zero time.
func when(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

var errNoType = errors.New(`no "type", or one that is not a string`)

func scan(raw []byte, f *connectors.Frame, d *fields) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	if dec.PeekKind() != '{' {
		if err := dec.SkipValue(); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		return errors.New("not a JSON object")
	}
	if err := skipToken(dec); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		switch name.String() {
		case "type":
			s, err := text(dec)
			if err != nil {
				return err
			}
			f.Type = event.Type(s)
		case "data":
			if f.Data, err = scanData(dec, raw, d); err != nil {
				return err
			}
		default:
			if err := dec.SkipValue(); err != nil {
				return fmt.Errorf("not JSON: %w", err)
			}
		}
	}
	if err := skipToken(dec); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(raw[dec.InputOffset():]); len(rest) > 0 {
		return errors.New("not JSON: something stands behind the object")
	}
	if f.Type == "" {
		return errNoType
	}
	return nil
}

// scanData returns where data is, if it is an object, and takes its fields.
func scanData(dec *jsontext.Decoder, raw []byte, d *fields) ([]byte, error) {
	*d = fields{}
	if dec.PeekKind() != '{' {
		if err := dec.SkipValue(); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		return nil, nil
	}
	if err := skipToken(dec); err != nil {
		return nil, err
	}
	start := dec.InputOffset() - 1 // at its brace
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		var into *string
		switch name.String() {
		case "id":
			into = &d.id
		case "conversation_id":
			into = &d.conversation
		case "created_at":
			into = &d.created
		case "updated_at":
			into = &d.updated
		case "sender_type":
			into = &d.sender
		case "client_ref":
			into = &d.clientRef
		case "message", "error":
			into = &d.complaint
		}
		if into == nil {
			if err := dec.SkipValue(); err != nil {
				return nil, fmt.Errorf("not JSON: %w", err)
			}
			continue
		}
		if *into, err = text(dec); err != nil {
			return nil, err
		}
	}
	if err := skipToken(dec); err != nil {
		return nil, err
	}
	return raw[start:dec.InputOffset():dec.InputOffset()], nil
}

// text reads a string or a number, a number as it is written; any other value
// is none.
func text(dec *jsontext.Decoder) (string, error) {
	switch dec.PeekKind() {
	case '"', '0':
		t, err := dec.ReadToken()
		if err != nil {
			return "", fmt.Errorf("not JSON: %w", err)
		}
		return t.String(), nil
	}
	if err := dec.SkipValue(); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	return "", nil
}

func skipToken(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return nil
}

// ping is the application's heartbeat.
var ping = []byte(`{"type":"ping"}`)

// encode writes an action as a frame.
func encode(a event.Action, ref string, messageType event.MessageType) ([]byte, error) {
	data := map[string]any{}
	if len(a.Body) > 0 {
		if err := json.Unmarshal(a.Body, &data); err != nil {
			return nil, fmt.Errorf("read body of %s: %w", a.Type, err)
		}
	}
	if data == nil { // the body was null
		data = map[string]any{}
	}
	id, err := strconv.ParseInt(a.Conversation, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("conversation %q is not a number, as this backend's are", a.Conversation)
	}
	data["conversation_id"] = id
	if a.Type == event.SendMessage && data["message_type"] == nil {
		data["message_type"] = messageType
	}
	if ref != "" {
		data["client_ref"] = ref
	}
	return json.Marshal(map[string]any{"type": a.Type, "data": data})
}
