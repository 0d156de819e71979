package reconcile

import (
	"testing"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestIdentity(t *testing.T) {
	frame := func(kind event.Type, object, data string) connectors.Frame {
		return connectors.Frame{Type: kind, Object: object, Data: []byte(data)}
	}
	const edit = `{"id":5,"updated_at":"2026-01-02T03:04:05Z","content":"<ü>","message_type":1,"status":"sent"}`
	tests := []struct {
		name string
		a, b connectors.Frame
		same bool
	}{
		{"a new message is its id, whatever it says",
			frame(event.MessageNew, "5", `{"id":5,"content":"a"}`), frame(event.MessageNew, "5", `{"id":5,"content":"b"}`), true},
		{"two new messages", frame(event.MessageNew, "5", `{}`), frame(event.MessageNew, "6", `{}`), false},
		{"a new conversation is its id", frame(event.ConversationNew, "5", `{"a":1}`), frame(event.ConversationNew, "5", `{}`), true},
		{"a conversation and a message of one id", frame(event.ConversationNew, "5", `{}`), frame(event.MessageNew, "5", `{}`), false},
		{"two equal changes of a conversation are two",
			frame(event.ConversationUpdated, "5", `{"id":5}`), frame(event.ConversationUpdated, "5", `{"id":5}`), false},
		{"an edit that is told twice", frame(event.MessageUpdated, "5", edit), frame(event.MessageUpdated, "5", edit), true},
		{"an edit in other bytes: order, space, escapes and unknown fields", frame(event.MessageUpdated, "5", edit),
			frame(event.MessageUpdated, "5", `{ "content": "\u003c\u00fc\u003e", "x":1, "status":"sent", "updated_at":"2026-01-02T03:04:05Z",`+"\n"+`"message_type": 1, "id":5 }`), true},
		{"an edit of another text", frame(event.MessageUpdated, "5", edit),
			frame(event.MessageUpdated, "5", `{"id":5,"updated_at":"2026-01-02T03:04:05Z","content":"b","message_type":1,"status":"sent"}`), false},
		{"an edit at another time", frame(event.MessageUpdated, "5", edit),
			frame(event.MessageUpdated, "5", `{"id":5,"updated_at":"2026-01-02T03:04:06Z","content":"<ü>","message_type":1,"status":"sent"}`), false},
		{"another delivery status", frame(event.MessageUpdated, "5", edit),
			frame(event.MessageUpdated, "5", `{"id":5,"updated_at":"2026-01-02T03:04:05Z","content":"<ü>","message_type":1,"status":"read"}`), false},
		{"an edit of another message", frame(event.MessageUpdated, "5", edit), frame(event.MessageUpdated, "6", edit), false},
		{"a new message and its edit", frame(event.MessageNew, "5", edit), frame(event.MessageUpdated, "5", edit), false},
		{"edits of a shape that is not known are never the same",
			frame(event.MessageUpdated, "5", `{"content":{}}`), frame(event.MessageUpdated, "5", `{"content":{}}`), false},
		{"unknown events are never the same", frame("label.added", "5", `{}`), frame("label.added", "5", `{}`), false},
		{"nor those without an object", frame("label.added", "", `{}`), frame("label.added", "", `{}`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := Identity("7", tt.a), Identity("7", tt.b)
			if (a == b) != tt.same {
				t.Errorf("identities are %s and %s, want same = %t", a, b, tt.same)
			}
			if other := Identity("8", tt.a); other == a {
				t.Errorf("another account's is the same: %s", other)
			}
		})
	}
}
