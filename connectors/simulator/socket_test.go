package simulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAnActionComesBackAsAnEvent(t *testing.T) {
	tests := []struct {
		name, action, event string
		want                map[string]any
	}{
		{
			"send_message as a message of the token's user",
			`{"type":"send_message","data":{"conversation_id":1,"content":"On our way <b>&</b> …","message_type":0}}`,
			"message.new",
			map[string]any{
				"id": 2.0, "conversation_id": 1.0, "content": "On our way <b>&</b> …",
				"message_type": 0.0, "sender_type": "User", "sender_id": 3.0,
			},
		},
		{
			"send_message without a type as an outgoing one",
			`{"type":"send_message","data":{"conversation_id":"1","content":"Hello"}}`,
			"message.new", map[string]any{"message_type": 1.0},
		},
		{
			"update_status as the whole conversation",
			`{"type":"update_status","data":{"conversation_id":1,"status":1}}`,
			"conversation.updated", map[string]any{"id": 1.0, "status": 1.0, "unread_count": 1.0, "snoozed_until": nil},
		},
		{
			"mark_as_read with nothing unread",
			`{"type":"mark_as_read","data":{"conversation_id":1}}`,
			"conversation.updated", map[string]any{"id": 1.0, "unread_count": 0.0},
		},
		{
			"start_typing",
			`{"type":"start_typing","data":{"conversation_id":1}}`,
			"typing.start", map[string]any{"conversation_id": 1.0, "user_id": 3.0, "is_typing": true},
		},
		{
			"stop_typing",
			`{"type":"stop_typing","data":{"conversation_id":1}}`,
			"typing.stop", map[string]any{"conversation_id": 1.0, "user_id": 3.0, "is_typing": false},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := serve(t, simulator.Options{})
			b.write(t, b.open(t), "Where is my parcel?")
			sender, other := b.dial(t), b.dial(t)
			sender.send(t, test.action)
			for _, c := range []*client{sender, other} {
				got := c.next(t, test.event)
				for field, want := range test.want {
					if got[field] != want {
						t.Errorf("%s = %v, want %v", field, got[field], want)
					}
				}
				if _, echoed := got["client_ref"]; echoed {
					t.Errorf("client_ref is echoed: %v", got)
				}
			}
		})
	}
}

func TestAnInvalidFrameIsAnsweredWithAnError(t *testing.T) {
	tests := []struct{ name, frame, says string }{
		{"not JSON", `{"type":`, "read frame"},
		{"not an object", `[1]`, "read frame"},
		{"no type", `{"data":{}}`, "not an action"},
		{"an unknown action", `{"type":"delete_all","data":{}}`, `"delete_all" is not an action`},
		{"no conversation", `{"type":"mark_as_read"}`, "conversation_id"},
		{"an unknown conversation", `{"type":"mark_as_read","data":{"conversation_id":99}}`, "conversation 99"},
		{"typing nowhere", `{"type":"start_typing","data":{"conversation_id":0}}`, "conversation 0"},
		{"a blank text", `{"type":"send_message","data":{"conversation_id":1,"content":" "}}`, "content"},
		{"an unknown message type", `{"type":"send_message","data":{"conversation_id":1,"content":"a","message_type":4}}`, "message_type"},
		{"no status", `{"type":"update_status","data":{"conversation_id":1}}`, "status"},
		{"an unknown status", `{"type":"update_status","data":{"conversation_id":1,"status":9}}`, "status"},
	}
	b := serve(t, simulator.Options{})
	b.open(t)
	c, other := b.dial(t), b.dial(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.send(t, test.frame)
			if got := c.next(t, "error")["message"].(string); !strings.Contains(got, test.says) {
				t.Errorf("the error is %q, want %q in it", got, test.says)
			}
		})
	}
	other.hearsNothingElse(t)
	if s := b.stats(t); s.Invalid != len(tests) || len(s.Events) != 1 {
		t.Errorf("counts are %+v, want %d invalid frames and only the opening as an event", s, len(tests))
	}
}

func TestClientRefIsEchoedWhereAsked(t *testing.T) {
	for action, kind := range map[string]string{
		`{"type":"send_message","data":{"conversation_id":1,"content":"a","client_ref":"r-1"}}`: "message.new",
		`{"type":"update_status","data":{"conversation_id":1,"status":2,"client_ref":"r-1"}}`:   "conversation.updated",
		`{"type":"mark_as_read","data":{"conversation_id":1,"client_ref":"r-1"}}`:               "conversation.updated",
		`{"type":"start_typing","data":{"conversation_id":1,"client_ref":"r-1"}}`:               "typing.start",
		`{"type":"mark_as_read","data":{"conversation_id":9,"client_ref":"r-1"}}`:               "error",
	} {
		b := serve(t, simulator.Options{EchoRef: true})
		b.open(t)
		c := b.dial(t)
		c.send(t, action)
		if got := c.next(t, kind)["client_ref"]; got != "r-1" {
			t.Errorf("after %s client_ref is %v", action, got)
		}
		var detail struct {
			Ref      *string `json:"client_ref"`
			Messages []map[string]any
		}
		b.do(t, "GET", "/api/v1/accounts/7/conversations/1/", "", &detail)
		if detail.Ref != nil || len(detail.Messages) > 0 && detail.Messages[0]["client_ref"] != nil {
			t.Errorf("after %s REST shows a client_ref", action)
		}
	}
}

func TestPing(t *testing.T) {
	t.Run("is answered", func(t *testing.T) {
		b := serve(t, simulator.Options{})
		b.dial(t).hearsNothingElse(t)
	})
	t.Run("is ignored where asked, but not that of WebSocket", func(t *testing.T) {
		b := serve(t, simulator.Options{IgnorePing: true})
		b.open(t)
		c := b.dial(t)
		c.send(t, `{"type":"ping"}`)
		c.send(t, `{"type":"mark_as_read","data":{"conversation_id":1}}`)
		c.next(t, "conversation.updated")
		if !c.answersPing(t, 10*time.Second) {
			t.Error("a WebSocket ping is not answered")
		}
	})
}

func TestAHandshakeIsRefused(t *testing.T) {
	b := serve(t, simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: token}, {ID: "locked"}}})
	for name, test := range map[string][2]string{
		"with a wrong token":                 {"7", "guess"},
		"without a token":                    {"7", ""},
		"for an unknown account":             {"8", token},
		"for an account that has no token":   {"locked", ""},
		"for another account's token holder": {"locked", token},
	} {
		if got := b.refused(t, test[0], test[1]); got != http.StatusForbidden {
			t.Errorf("%s: status %d", name, got)
		}
	}
	if s := b.stats(t); s.Sockets.Refused != 2 || s.Sockets.Opened != 0 {
		t.Errorf("counts are %+v", s.Sockets)
	}
}

func TestAccountIDsMayBeOdd(t *testing.T) {
	for _, id := range []string{"a/b", "ü ö", "50%", "a.b*c>", "x?y#z"} {
		b := serve(t, simulator.Options{Accounts: []simulator.Account{{ID: id, Token: token}}})
		c := b.dialAccount(t, id)
		if _, err := b.OpenConversation(id, "Ada"); err != nil {
			t.Fatal(err)
		}
		c.next(t, "conversation.new")
	}
}

func TestEventsReachEverySocketInOrder(t *testing.T) {
	b := serve(t, simulator.Options{})
	first, second := b.dial(t), b.dial(t)
	id := b.open(t)
	message := b.write(t, id, "One")
	if err := b.CustomerTypes("7", id, true); err != nil {
		t.Fatal(err)
	}
	if err := b.CustomerEdits("7", message, "Two"); err != nil {
		t.Fatal(err)
	}
	if err := b.SetStatus("7", id, event.StatusSnoozed); err != nil {
		t.Fatal(err)
	}
	if err := b.Broadcast("7", []byte(`{"type":"call.rang","data":{}}`)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{first, second} {
		c.next(t, "conversation.new")
		m := c.next(t, "message.new")
		c.next(t, "typing.start")
		edited := c.next(t, "message.updated")
		if edited["content"] != "Two" || edited["created_at"] != m["created_at"] || edited["updated_at"].(string) <= m["updated_at"].(string) {
			t.Errorf("%v was edited to %v", m, edited)
		}
		snoozed := c.next(t, "conversation.updated")
		if snoozed["snoozed_until"] == nil || snoozed["last_message"].(map[string]any)["content"] != "Two" {
			t.Errorf("the conversation is %v", snoozed)
		}
		c.next(t, "call.rang")
		c.hearsNothingElse(t)
	}
}

func TestASlowReaderIsWaitedFor(t *testing.T) {
	b := serve(t, simulator.Options{Queue: 1, Patience: time.Minute})
	conn := b.connect(t, "7")
	id := b.open(t)
	const messages = 150
	text := strings.Repeat("x", 64<<10) // in all more than the buffers of a connection hold
	failed := make(chan error, 1)
	go func() {
		for i := range messages {
			if _, err := b.CustomerWrites("7", id, fmt.Sprint(i, " ", text)); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	b.await(t, "messages are written", func(s simulator.Stats) bool { return s.Messages > 2 })
	for i := -1; i < messages; i++ {
		_, raw, err := conn.Read(t.Context())
		if err != nil {
			t.Fatalf("after %d messages: %v", i, err)
		}
		if want := fmt.Sprintf(`"content": "%d `, i); i >= 0 && !strings.Contains(string(raw), want) {
			t.Fatalf("message %d is missing or not in order", i)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if s := b.stats(t); s.Withheld != 0 || s.Sockets.Overrun != 0 {
		t.Errorf("counts are %+v", s)
	}
}

func TestASocketThatDoesNotCatchUpIsClosed(t *testing.T) {
	b := serve(t, simulator.Options{Queue: 1, Patience: 10 * time.Millisecond})
	b.connect(t, "7")
	healthy := b.dial(t)
	id := b.open(t)
	text := strings.Repeat("x", 256<<10)
	for b.stats(t).Sockets.Open == 2 {
		b.write(t, id, text)
	}
	last := b.write(t, id, "still here")
	if s := b.stats(t); s.Sockets.Overrun != 1 || s.Sockets.Closed != 1 {
		t.Errorf("counts are %+v", s.Sockets)
	}
	healthy.next(t, "conversation.new")
	for id := int64(1); id <= last; id++ {
		if got := healthy.next(t, "message.new")["id"]; got != float64(id) {
			t.Fatalf("got message %v, want %d", got, id)
		}
	}
}

func TestACloseByTheClientIsCounted(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Fatal(err)
	}
	b.await(t, "the socket is closed", func(s simulator.Stats) bool { return s.Sockets.Closed == 1 && s.Sockets.Open == 0 })
}

func TestCloseEndsSocketsAndRefusesMore(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	running := make(chan error, 1)
	go func() { running <- b.Run(context.Background()) }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range c.frames {
	}
	if got := websocket.CloseStatus(c.err); got != -1 {
		t.Errorf("close status %d, want none", got)
	}
	if err := <-running; err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := b.refused(t, "7", token); got != http.StatusServiceUnavailable {
		t.Errorf("status %d", got)
	}
}

func BenchmarkBroadcast(b *testing.B) {
	s := simulator.New(simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: token}}})
	srv := httptest.NewServer(s)
	defer srv.Close()
	defer func() { _ = s.Close() }()
	conn, _, err := websocket.Dial(b.Context(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/ws/accounts/7/?token="+token, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	id, err := s.OpenConversation("7", "Ada")
	if err != nil {
		b.Fatal(err)
	}
	heard := make(chan error, 1)
	go func() {
		for {
			_, raw, err := conn.Read(context.Background())
			if err != nil || string(raw) == "end" {
				heard <- err
				return
			}
		}
	}()
	for b.Loop() {
		if _, err := s.CustomerWrites("7", id, "What is the price of the yearly plan?"); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Broadcast("7", []byte("end")); err != nil {
		b.Fatal(err)
	}
	if err := <-heard; err != nil {
		b.Fatal(err)
	}
}
