package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// The headers of an event: the CloudEvents NATS binding in binary mode, W3C
// trace context, and what is ours. Names are case-sensitive on NATS.
const (
	headerSpecVersion = "ce-specversion"
	headerID          = "ce-id"
	headerType        = "ce-type"
	headerSource      = "ce-source"
	headerSubject     = "ce-subject"
	headerTime        = "ce-time"
	headerAccount     = "switchboard-account"
	headerReplayed    = "switchboard-replayed"
	headerBy          = "switchboard-by"
	headerAction      = "switchboard-action"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	headerExpires     = "switchboard-expires"
	headerAt          = "switchboard-at"
	headerSequence    = "switchboard-sequence"
	headerHash        = "switchboard-hash"
	headerKey         = "switchboard-key"
)

// encode is the event as a message.
func (s subjects) encode(e event.Event) *nats.Msg {
	h := nats.Header{
		headerSpecVersion: {"1.0"},
		headerID:          {e.ID},
		headerType:        {string(e.Type)},
		headerSource:      {e.Source},
		headerTime:        {e.Time.UTC().Format(time.RFC3339Nano)},
		headerAccount:     {e.Account},
	}
	if !e.Type.Live() {
		h[nats.MsgIdHdr] = h[headerID]
	}
	optional := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	optional(headerSubject, e.Conversation)
	optional(headerBy, e.By)
	optional(headerAction, e.Action)
	optional(headerTraceParent, e.TraceParent)
	optional(headerTraceState, e.TraceState)
	if e.Replayed {
		h[headerReplayed] = []string{"true"}
	}
	return &nats.Msg{Subject: s.event(e), Header: h, Data: e.Data}
}

// decode reads an event off a message's headers and data. Data is shared.
func decode(h nats.Header, data []byte) (event.Event, error) {
	e := event.Event{
		ID: h.Get(headerID), Type: event.Type(h.Get(headerType)), Source: h.Get(headerSource),
		Account: h.Get(headerAccount), Conversation: h.Get(headerSubject),
		Replayed: h.Get(headerReplayed) == "true", By: h.Get(headerBy), Action: h.Get(headerAction),
		TraceParent: h.Get(headerTraceParent), TraceState: h.Get(headerTraceState), Data: data,
	}
	if e.ID == "" || e.Type == "" {
		return e, fmt.Errorf("a message without %s or %s is no event", headerID, headerType)
	}
	if t, err := time.Parse(time.RFC3339Nano, h.Get(headerTime)); err == nil {
		e.Time = t
	}
	return e, nil
}
