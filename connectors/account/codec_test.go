package account

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestParseKeepsDataByteForByte(t *testing.T) {
	tests := []struct{ name, data string }{
		{"an id larger than a float holds", `{"id":9007199254740993,"conversation_id":1}`},
		{"unknown fields", `{"id":1,"conversation_id":1,"x":{"deep":[1,{"y":null}]}}`},
		{"odd white space", "{ \"id\" :\t1 ,\n \"conversation_id\": 1 }"},
		{"duplicate keys", `{"id":1,"id":2,"conversation_id":1}`},
		{"escapes and other scripts", `{"id":1,"conversation_id":1,"content":"\u00fc ü \"}{\" 日本"}`},
		{"numbers as they are written", `{"id":1,"conversation_id":1,"f":1.0e2,"g":-0.0}`},
	}
	for _, tt := range tests {
		for _, frame := range []string{
			`{"type":"message.new","data":` + tt.data + `}`,
			` { "data" : ` + tt.data + ` , "more": [1,2], "type":"message.new" } `,
		} {
			t.Run(tt.name, func(t *testing.T) {
				f := parse([]byte(frame))
				if f.Kind != connectors.Event || string(f.Data) != tt.data {
					t.Errorf("parse(%s) = kind %d, data %s, fault %v", frame, f.Kind, f.Data, f.Fault)
				}
			})
		}
	}
}

func TestParseRoutes(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	stamp, _ := when.MarshalText()
	tests := []struct {
		name, frame string
		want        connectors.Frame
	}{
		{"a message by its conversation", `{"type":"message.new","data":{"id":9007199254740993,"conversation_id":42,"created_at":"` + string(stamp) + `","client_ref":"r1"}}`,
			connectors.Frame{Type: event.MessageNew, Conversation: "42", Object: "9007199254740993", Time: when, ClientRef: "r1"}},
		{"an edit by the time of its update", `{"type":"message.updated","data":{"id":5,"conversation_id":42,"created_at":"2020-01-01T00:00:00Z","updated_at":"` + string(stamp) + `"}}`,
			connectors.Frame{Type: event.MessageUpdated, Conversation: "42", Object: "5", Time: when, Updated: when}},
		{"a message's sender and last change", `{"type":"message.new","data":{"id":5,"conversation_id":42,"sender_type":"User","created_at":"2020-01-01T00:00:00Z","updated_at":"` + string(stamp) + `"}}`,
			connectors.Frame{Type: event.MessageNew, Conversation: "42", Object: "5", Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Updated: when, SenderType: "User"}},
		{"a conversation by its own id", `{"type":"conversation.updated","data":{"id":42,"last_message":{"id":7,"conversation_id":1}}}`,
			connectors.Frame{Type: event.ConversationUpdated, Conversation: "42", Object: "42"}},
		{"typing", `{"type":"typing.start","data":{"conversation_id":42,"user_id":1}}`,
			connectors.Frame{Type: event.TypingStart, Conversation: "42"}},
		{"the last of two keys, as the backend's own parser has it", `{"type":"message.new","data":{"id":1,"id":2,"conversation_id":3,"conversation_id":4}}`,
			connectors.Frame{Type: event.MessageNew, Conversation: "4", Object: "2"}},
		{"an unknown type as it is", `{"type":"label.added","data":{"label":"vip"}}`,
			connectors.Frame{Type: "label.added"}},
		{"an unknown type with a conversation", `{"type":"label.added","data":{"conversation_id":"c-1"}}`,
			connectors.Frame{Type: "label.added", Conversation: "c-1"}},
		{"pong", `{"type":"pong"}`, connectors.Frame{Kind: connectors.Pong, Type: "pong"}},
		{"an error's text under message", `{"type":"error","data":{"message":"no such conversation"}}`,
			connectors.Frame{Kind: connectors.Complaint, Type: "error", Text: "no such conversation"}},
		{"an error's text under error", `{"type":"error","data":{"error":"nope"}}`,
			connectors.Frame{Kind: connectors.Complaint, Type: "error", Text: "nope"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse([]byte(tt.frame))
			if got.Fault != nil {
				t.Fatal(got.Fault)
			}
			got.Raw, got.Data = nil, nil
			if got.Kind != tt.want.Kind || got.Type != tt.want.Type || got.Conversation != tt.want.Conversation ||
				got.Object != tt.want.Object || got.ClientRef != tt.want.ClientRef || got.Text != tt.want.Text ||
				!got.Time.Equal(tt.want.Time) || !got.Updated.Equal(tt.want.Updated) || got.SenderType != tt.want.SenderType {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseSaysWhyAFrameIsUnreadable(t *testing.T) {
	tests := []struct{ name, frame, want string }{
		{"not JSON", `hello`, "not JSON"},
		{"cut off", `{"type":"message.new","data":{"id":1`, "not JSON"},
		{"an array", `[1,2]`, "not a JSON object"},
		{"something behind it", `{"type":"pong"}{}`, "something stands behind"},
		{"no type", `{"data":{}}`, `no "type"`},
		{"a type that is no string", `{"type":{},"data":{}}`, `no "type"`},
		{"no data", `{"type":"message.new"}`, `no "data"`},
		{"data that is no object", `{"type":"message.new","data":[1]}`, `no "data"`},
		{"invalid UTF-8", "{\"type\":\"message.new\",\"data\":{\"id\":1,\"conversation_id\":1,\"content\":\"\xff\"}}", "UTF-8"},
		{"a message without conversation", `{"type":"message.new","data":{"id":1}}`, "which conversation"},
		{"a message without id", `{"type":"message.new","data":{"conversation_id":1}}`, "no id"},
		{"nothing", ``, "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := parse([]byte(tt.frame))
			if f.Kind != connectors.Unreadable || f.Fault == nil || !strings.Contains(f.Fault.Error(), tt.want) {
				t.Errorf("parse(%q) = kind %d, fault %v; want %q", tt.frame, f.Kind, f.Fault, tt.want)
			}
			if string(f.Raw) != tt.frame {
				t.Errorf("raw = %q", f.Raw)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	tests := []struct {
		name   string
		action event.Action
		ref    string
		want   string
	}{
		{"a message gets the account's type", event.Action{Type: event.SendMessage, Conversation: "42", Body: []byte(`{"content":"hi"}`)}, "r",
			`{"type":"send_message","data":{"client_ref":"r","content":"hi","conversation_id":42,"message_type":1}}`},
		{"a message keeps its own", event.Action{Type: event.SendMessage, Conversation: "42", Body: []byte(`{"content":"hi","message_type":2}`)}, "",
			`{"type":"send_message","data":{"content":"hi","conversation_id":42,"message_type":2}}`},
		{"no body", event.Action{Type: event.MarkAsRead, Conversation: "9007199254740993"}, "",
			`{"type":"mark_as_read","data":{"conversation_id":9007199254740993}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := encode(tt.action, tt.ref, event.MessageOutgoing)
			if err != nil {
				t.Fatal(err)
			}
			var g, w any
			if json.Unmarshal(got, &g) != nil || json.Unmarshal([]byte(tt.want), &w) != nil {
				t.Fatalf("%s", got)
			}
			gn, _ := json.Marshal(g)
			wn, _ := json.Marshal(w)
			if !bytes.Equal(gn, wn) || !bytes.Contains(got, []byte(`"conversation_id":`+tt.action.Conversation)) {
				t.Errorf("encode = %s", got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"type":"message.new","data":{"id":1,"conversation_id":2,"content":"x"}}`, `{"data":{},"type":"a"}`, `[`, ``, `{"type":"x","data":{"id":1e400}}`,
		"{\"type\":\"\xff\"}", `{"type":"x","data":{"a":{"b":[1,2,{}]}} , "data" : {"id":"z"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		fr := parse(raw)
		if !bytes.Equal(before, raw) || !bytes.Equal(fr.Raw, raw) {
			t.Fatal("the frame was changed")
		}
		if fr.Kind == connectors.Event {
			if !json.Valid(fr.Data) || !bytes.Contains(raw, fr.Data) || fr.Data[0] != '{' {
				t.Fatalf("data %q of %q", fr.Data, raw)
			}
		} else if fr.Kind == connectors.Unreadable && fr.Fault == nil {
			t.Fatal("unreadable without a fault")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw := []byte(`{"type": "message.new", "data": {"id": 90071992547, "content": "Hello, I would like to know whether my order has been shipped already, thank you", "message_type": 0, "conversation_id": 4211, "sender_type": "Contact", "sender_id": 815, "created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:04:05.678901Z", "status": "sent", "x": 1}}`)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if f := parse(raw); f.Kind != connectors.Event {
			b.Fatal(f.Fault)
		}
	}
}
