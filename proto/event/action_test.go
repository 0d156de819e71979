package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestCheck(t *testing.T) {
	send := event.Action{ID: "1", Type: event.SendMessage, Account: "7", Conversation: "42", Body: []byte(`{"content":"hi"}`)}
	with := func(change func(*event.Action)) event.Action { a := send; change(&a); return a }
	body := func(t event.ActionType, body string) event.Action {
		return with(func(a *event.Action) { a.Type, a.Body = t, []byte(body) })
	}
	now := time.Now()
	tests := []struct {
		name   string
		action event.Action
		want   string // a part of the error that says how to mend it; "" : valid
	}{
		{"a message", send, ""},
		{"a message with its type", body(event.SendMessage, `{"content":"hi","message_type":3}`), ""},
		{"a message whose type is null", body(event.SendMessage, `{"content":"hi","message_type":null}`), ""},
		{"a status", body(event.UpdateStatus, `{"status":0}`), ""},
		{"read, without a body", body(event.MarkAsRead, ``), ""},
		{"read, with an empty body", body(event.MarkAsRead, ` {} `), ""},
		{"typing, without an id", event.Action{Type: event.StartTyping, Account: "7", Conversation: "42"}, ""},
		{"typing stops", event.Action{Type: event.StopTyping, Account: "7", Conversation: "42", Body: []byte(`{}`)}, ""},
		{"the longest names", with(func(a *event.Action) {
			a.ID, a.Account, a.Conversation = strings.Repeat("i", 256), strings.Repeat("a", 256), strings.Repeat("c", 256)
		}), ""},
		{"due and expiring at once", with(func(a *event.Action) { a.At, a.Expires = now, now }), ""},

		{"no type", with(func(a *event.Action) { a.Type = "" }), `type "" is not one of [send_message update_status mark_as_read start_typing stop_typing]`},
		{"an unknown type", with(func(a *event.Action) { a.Type = "send_mesage" }), `not one of [send_message`},
		{"no account", with(func(a *event.Action) { a.Account = "" }), "account is missing"},
		{"no conversation", with(func(a *event.Action) { a.Conversation = "" }), "conversation is missing"},
		{"a long account", with(func(a *event.Action) { a.Account = strings.Repeat("a", 257) }), "may have 256 bytes"},
		{"a long conversation", with(func(a *event.Action) { a.Conversation = strings.Repeat("a", 257) }), "may have 256 bytes"},
		{"no id", with(func(a *event.Action) { a.ID = "" }), "send_message needs an id (over NATS: the header Nats-Msg-Id)"},
		{"a long id", with(func(a *event.Action) { a.ID = strings.Repeat("a", 257) }), "id has 257 bytes, 256 are allowed"},
		{"a line break in an id", with(func(a *event.Action) { a.ID = "a\r\nb" }), "use printable ones only"},
		{"an id that is not UTF-8", with(func(a *event.Action) { a.ID = "caf\xe9" }), "must be UTF-8"},
		{"an account that is not UTF-8", with(func(a *event.Action) { a.Account = "\xff" }), "must be UTF-8"},
		{"a conversation that is not UTF-8", with(func(a *event.Action) { a.Conversation = "\xff" }), "must be UTF-8"},
		{"expired before it is due", with(func(a *event.Action) { a.At, a.Expires = now, now.Add(-1) }), "expires before it is due"},
		{"a large body", body(event.SendMessage, `{"content":"`+strings.Repeat("x", event.MaxActionBody)+`"}`), "262144 are allowed"},

		{"no content", body(event.SendMessage, `{}`), `needs a "content" that is not blank`},
		{"no body", body(event.SendMessage, ``), `needs a "content" that is not blank`},
		{"blank content", body(event.SendMessage, `{"content":"\u00a0\n\t "}`), `not blank`},
		{"content that is no text", body(event.SendMessage, `{"content":5}`), `"content" must be a string, not number`},
		{"a field that is mistyped", body(event.SendMessage, `{"contents":"hi"}`), `has a field "contents"; it may have content and message_type`},
		{"a field in capitals", body(event.SendMessage, `{"Content":"hi"}`), `has a field "Content"; it may have content`},
		{"a field that is the bridge's", body(event.SendMessage, `{"content":"hi","conversation_id":43}`), `has a field "conversation_id"`},
		{"an unknown message type", body(event.SendMessage, `{"content":"hi","message_type":4}`), "0 (incoming), 1 (outgoing), 2 (activity) or 3 (template)"},
		{"a negative message type", body(event.SendMessage, `{"content":"hi","message_type":-1}`), "0 (incoming)"},
		{"a message type by name", body(event.SendMessage, `{"content":"hi","message_type":"outgoing"}`), `"message_type" must be a whole number, not string`},
		{"no status", body(event.UpdateStatus, `{}`), "0 open, 1 resolved, 2 pending, 3 snoozed"},
		{"no status at all", body(event.UpdateStatus, ``), "0 open"},
		{"a status that is null", body(event.UpdateStatus, `{"status":null}`), "0 open"},
		{"an unknown status", body(event.UpdateStatus, `{"status":4}`), "0 (open), 1 (resolved), 2 (pending) or 3 (snoozed)"},
		{"a negative status", body(event.UpdateStatus, `{"status":-1}`), "0 (open)"},
		{"a status by name", body(event.UpdateStatus, `{"status":"open"}`), `"status" must be a whole number, not string`},
		{"half a status", body(event.UpdateStatus, `{"status":1.5}`), `"status" must be a whole number, not number 1.5`},
		{"a field where there is none", body(event.MarkAsRead, `{"x":1}`), `has a field "x"; it must be empty`},
		{"a body that is null", body(event.MarkAsRead, `null`), "one JSON object, not null; leave it out"},
		{"a body that is a list", body(event.StartTyping, `[]`), "must be one JSON object"},
		{"a body that is no JSON", body(event.SendMessage, `content=hi`), "must be one JSON object"},
		{"two bodies", body(event.SendMessage, `{"content":"hi"} {}`), "must be one JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.action.Check()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("error %v", err)
			case tt.want != "" && (!errors.Is(err, event.ErrInvalidAction) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDecodeBody(t *testing.T) {
	var b event.SendMessageBody
	a := event.Action{Type: event.SendMessage, Body: []byte(`{"content":"hi","message_type":1}`)}
	if err := a.DecodeBody(&b); err != nil || b.Content != "hi" || *b.MessageType != event.MessageOutgoing {
		t.Errorf("%+v, %v", b, err)
	}
	for _, bad := range []string{`{"contents":"hi"}`, `{"content":"hi"}{}`, `{`} {
		a.Body = []byte(bad)
		if err := a.DecodeBody(&b); err == nil || !strings.Contains(err.Error(), "body of send_message") {
			t.Errorf("%s: error %v", bad, err)
		}
	}
	if err := (event.Action{}).DecodeBody(&b); err != nil {
		t.Errorf("no body: error %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, t := range event.ActionTypes {
		for _, body := range []string{``, `{}`, `null`, `{"content":"hi"}`, `{"status":1}`, `{"message_type":1e0,"content":"x"}`} {
			f.Add(string(t), "1", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, typ, id string, body []byte) {
		a := event.Action{ID: id, Type: event.ActionType(typ), Account: "7", Conversation: "42", Body: body}
		if err := a.Check(); err != nil && !errors.Is(err, event.ErrInvalidAction) {
			t.Errorf("error %v", err)
		}
	})
}
