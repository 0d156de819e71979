package event_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestDecode(t *testing.T) {
	ptr := func(n int64) *int64 { return &n }
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	snoozed := at.Add(time.Hour)
	const stamp = `"2026-01-02T03:04:05.678Z"`
	conversation := event.Conversation{
		ID: 1<<53 + 1, Status: event.StatusSnoozed, Priority: event.PriorityUrgent, AssigneeID: ptr(1<<53 + 3), InboxID: 4, TeamID: ptr(5),
		Contact: event.Contact{ID: 1<<63 - 1, Name: "Ada", Email: "ada@example.com", PhoneNumber: "+49", AvatarURL: "https://x"},
		LastMessage: &event.LastMessage{ID: 9007199254740995, Content: "hi", MessageType: event.MessageOutgoing, CreatedAt: at,
			SenderType: "User", SenderID: ptr(9007199254740997)},
		UnreadCount: 2, CreatedAt: at, LastActivityAt: at, SnoozedUntil: &snoozed, Labels: []string{"vip"},
	}
	const conversationData = `{"id":9007199254740993,"status":3,"priority":3,"assignee_id":9007199254740995,"inbox_id":4,"team_id":5,
		"contact":{"id":9223372036854775807,"name":"Ada","email":"ada@example.com","phone_number":"+49","avatar_url":"https://x"},
		"last_message":{"id":9007199254740995,"content":"hi","message_type":1,"created_at":` + stamp + `,"sender_type":"User","sender_id":9007199254740997},
		"unread_count":2,"created_at":` + stamp + `,"last_activity_at":` + stamp + `,"snoozed_until":"2026-01-02T05:04:05.678+01:00",
		"cached_label_list":["vip"],"a_field_of_tomorrow":{"x":1}}`
	message := event.Message{
		ID: 9007199254740993, Content: "hi", MessageType: event.MessageTemplate, ConversationID: 9007199254740995,
		SenderType: event.SenderContact, SenderID: ptr(9007199254740997), CreatedAt: at, UpdatedAt: at, Status: "sent",
	}
	const messageData = `{"id":9007199254740993,"content":"hi","message_type":3,"conversation_id":9007199254740995,"sender_type":"Contact",
		"sender_id":9007199254740997,"created_at":` + stamp + `,"updated_at":` + stamp + `,"status":"sent"}`
	typing := event.Typing{ConversationID: 9007199254740993, UserID: 9007199254740995, UserName: "Ada", IsTyping: true}
	const typingData = `{"conversation_id":9007199254740993,"user_id":9007199254740995,"user_name":"Ada","is_typing":true}`
	result := event.ActionResult{ID: "1", Type: event.SendMessage, Account: "7", Conversation: "9007199254740993", By: "bot",
		Reason: "no", Attempts: 3, Event: "e"}
	const resultData = `{"id":"1","type":"send_message","account":"7","conversation":"9007199254740993","by":"bot","reason":"no","attempts":3,"event":"e"}`

	tests := []struct {
		types []event.Type
		data  string
		want  any
	}{
		{[]event.Type{event.ConversationNew, event.ConversationUpdated}, conversationData, conversation},
		{[]event.Type{event.MessageNew, event.MessageUpdated}, messageData, message},
		{[]event.Type{event.TypingStart, event.TypingStop}, typingData, typing},
		{[]event.Type{event.ActionSent, event.ActionConfirmed, event.ActionFailed, event.ActionExpired}, resultData, result},
	}
	for _, tt := range tests {
		for _, typ := range tt.types {
			t.Run(string(typ), func(t *testing.T) {
				got, err := event.Event{ID: "e", Type: typ, Data: []byte(tt.data)}.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if wantText, text := marshal(t, tt.want), marshal(t, got); reflect.TypeOf(got) != reflect.TypeOf(tt.want) || text != wantText {
					t.Errorf("got %T %s\nwant %T %s", got, text, tt.want, wantText)
				}
				for name, bad := range map[string]string{"no JSON": `{`, "no object": `[]`, "an id that is a text": `{"id":{},"conversation_id":{}}`} {
					_, err := event.Event{ID: "e-17", Type: typ, Data: []byte(bad)}.Decode()
					if err == nil || errors.Is(err, event.ErrUnknownType) || !strings.Contains(err.Error(), "e-17") {
						t.Errorf("%s: error %v", name, err)
					}
				}
			})
		}
	}
}

// marshal makes values comparable that hold times and pointers.
func marshal(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	// The same instant in another zone is the same.
	return strings.ReplaceAll(string(data), "2026-01-02T05:04:05.678+01:00", "2026-01-02T04:04:05.678Z")
}

func TestAnEventOfAnUnknownTypeIsNoLessValid(t *testing.T) {
	for _, typ := range []event.Type{"conversation.merged", "", "message.*", "MESSAGE.NEW"} {
		e := event.Event{ID: "e-17", Type: typ, Data: []byte(`{"id":1}`)}
		v, err := e.Decode()
		if v != nil || !errors.Is(err, event.ErrUnknownType) || !strings.Contains(err.Error(), "e-17") {
			t.Errorf("%q: %v, %v", typ, v, err)
		}
	}
}

func TestWhatIsTypingIsLive(t *testing.T) {
	live := map[event.Type]bool{event.TypingStart: true, event.TypingStop: true}
	for _, typ := range []event.Type{event.ConversationNew, event.ConversationUpdated, event.MessageNew, event.MessageUpdated,
		event.TypingStart, event.TypingStop, event.ActionSent, event.ActionConfirmed, event.ActionFailed, event.ActionExpired, "typing.paused"} {
		if typ.Live() != live[typ] {
			t.Errorf("%s is live: %t", typ, typ.Live())
		}
	}
	liveActions := map[event.ActionType]bool{event.StartTyping: true, event.StopTyping: true}
	for _, typ := range append([]event.ActionType{"start_dancing"}, event.ActionTypes...) {
		if typ.Live() != liveActions[typ] || typ.Known() == (typ == "start_dancing") {
			t.Errorf("%s is live: %t, known: %t", typ, typ.Live(), typ.Known())
		}
	}
}

func TestNumbersHaveNames(t *testing.T) {
	tests := []struct {
		got, want string
	}{
		{event.StatusOpen.String(), "open"}, {event.StatusSnoozed.String(), "snoozed"}, {event.Status(4).String(), "unknown"},
		{event.Status(-1).String(), "unknown"}, {event.PriorityLow.String(), "low"}, {event.PriorityUrgent.String(), "urgent"},
		{event.Priority(9).String(), "unknown"}, {event.MessageIncoming.String(), "incoming"}, {event.MessageTemplate.String(), "template"},
		{event.MessageType(4).String(), "unknown"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestWhoWroteAMessageIsItsSenderNotItsType(t *testing.T) {
	for sender, want := range map[string]bool{"Contact": true, "User": false, "AgentBot": false, "": false} {
		if got := (event.Message{SenderType: sender, MessageType: event.MessageIncoming}).FromContact(); got != want {
			t.Errorf("%q: %t", sender, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("conversation.new", []byte(`{"id":9007199254740993,"contact":{"id":1}}`))
	f.Add("message.updated", []byte(`{"id":1,"created_at":"2026-01-02T03:04:05Z"}`))
	f.Add("typing.start", []byte(`{"is_typing":true}`))
	f.Add("action.failed", []byte(`{"attempts":-1}`))
	f.Add("message.new", []byte(`null`))
	f.Fuzz(func(t *testing.T, typ string, data []byte) {
		v, err := event.Event{Type: event.Type(typ), Data: data}.Decode()
		if (v == nil) != (err != nil) {
			t.Errorf("value %v and error %v", v, err)
		}
	})
}
