package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/connectortest"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// token has what a URL would escape.
const token = secret.Text("s3cr3t/t+ken &ü")

func TestConnector(t *testing.T) {
	for name, o := range map[string]simulator.Options{"pages": {PageSize: 3}, "a bare list": {BareList: true}} {
		t.Run(name, func(t *testing.T) {
			connectortest.Run(t, func(t *testing.T) connectortest.Backend { return serve(t, o) })
		})
	}
}

// backend is the simulator as a backend of the conformance suite.
type backend struct {
	*simulator.Server
	http *httptest.Server
}

var _ connectortest.Backend = (*backend)(nil)

func serve(t *testing.T, o simulator.Options) *backend {
	t.Helper()
	o.Accounts = []simulator.Account{{ID: "7", Token: token}}
	s := simulator.New(o)
	b := &backend{s, httptest.NewServer(s)}
	t.Cleanup(func() {
		_ = s.Close()
		b.http.Close()
	})
	return b
}

func connector(b *httptest.Server, token secret.Text) *account.Connector {
	return account.New(account.Options{
		Account: "7", WSURL: "ws" + strings.TrimPrefix(b.URL, "http"), APIURL: b.URL, MessageType: event.MessageOutgoing,
		Token: func() (secret.Text, error) { return token, nil }, HTTPClient: b.Client(),
	})
}

func (b *backend) Token() secret.Text { return token }

func (b *backend) Connector(token secret.Text) connectors.Connector { return connector(b.http, token) }

func (b *backend) AwaitSessions(t *testing.T, n int) {
	t.Helper()
	b.await(t, fmt.Sprintf("%d open sockets", n), func(s simulator.Stats) bool { return s.Sockets.Open == n })
}

func (b *backend) Conversation(t *testing.T) string {
	t.Helper()
	id, err := b.OpenConversation("7", "Ada Okafor")
	if err == nil {
		_, err = b.CustomerWrites("7", id, "unread")
	}
	if err != nil {
		t.Error(err)
	}
	return strconv.FormatInt(id, 10)
}

// Event is an edit: what the simulator itself tells of a conversation's
// beginning is of other types.
func (b *backend) Event(conversation string, n int) ([]byte, connectors.Frame) {
	id := strconv.FormatInt(9007199254740993+int64(n), 10) // more than a float holds
	data := `{"id": ` + id + `,"conversation_id":` + conversation + `, "x":{"deep":[1e400, null,"\u00fc ü \"}{\" 日本"]},` +
		` "updated_at": "2026-01-02T03:04:05.000006Z" ,"sender_type":"User","client_ref":"r-` + id + `"}`
	return []byte(` { "more": [1], "data":` + data + `,"type" : "message.updated" }`), connectors.Frame{
		Type: event.MessageUpdated, Conversation: conversation, Object: id, ClientRef: "r-" + id, Data: []byte(data),
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Updated: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		SenderType: "User",
	}
}

func (b *backend) Unreadable() map[string][]byte {
	return map[string][]byte{
		"cut off":         []byte(`{"type":"message.new","data":{"id":1`),
		"not JSON":        []byte(`hello`),
		"nothing":         {},
		"an array":        []byte(`[{"type":"message.new"}]`),
		"no type":         []byte(`{"data":{"id":1}}`),
		"no data":         []byte(`{"type":"message.new"}`),
		"no conversation": []byte(`{"type":"message.new","data":{"id":1}}`),
		"invalid UTF-8":   []byte("{\"type\":\"message.new\",\"data\":{\"id\":1,\"conversation_id\":1,\"content\":\"\xff\"}}"),
	}
}

func (b *backend) TooLarge() []byte {
	return []byte(`{"type":"note.new","data":{"text":"` + strings.Repeat("x", 4<<20) + `"}}`)
}

func (b *backend) Tell(t *testing.T, raw []byte) {
	t.Helper()
	if err := b.Broadcast("7", raw); err != nil {
		t.Error(err)
	}
}

func (b *backend) Impossible() event.Action {
	return event.Action{Type: event.MarkAsRead, Conversation: "not-a-number"}
}

func (b *backend) AwaitDone(t *testing.T, a event.Action, ref string) {
	t.Helper()
	b.await(t, string(a.Type), func(s simulator.Stats) bool { return s.Actions[string(a.Type)] == 1 && s.Refs[ref] == 1 })
	var got struct {
		Status   event.Status
		Unread   int `json:"unread_count"`
		Messages []event.Message
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.http.URL+"/api/v1/accounts/7/conversations/"+a.Conversation+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token.Reveal())
	res, err := b.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	switch a.Type {
	case event.SendMessage:
		var body event.SendMessageBody
		if err := a.DecodeBody(&body); err != nil {
			t.Fatal(err)
		}
		if last := got.Messages[len(got.Messages)-1]; last.Content != body.Content || last.MessageType != event.MessageOutgoing {
			t.Errorf("the last message is %+v", last)
		}
	case event.UpdateStatus:
		if got.Status != event.StatusResolved {
			t.Errorf("the status is %s", got.Status)
		}
	case event.MarkAsRead:
		if got.Unread != 0 {
			t.Errorf("%d messages are unread", got.Unread)
		}
	}
}

func (b *backend) Write(t *testing.T, conversation string, count int) {
	t.Helper()
	id, err := strconv.ParseInt(conversation, 10, 64)
	for n := 0; n < count && err == nil; n++ {
		_, err = b.CustomerWrites("7", id, "Grüße, <b> & 日本")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *backend) Forget(t *testing.T, conversation string) {
	t.Helper()
	id, err := strconv.ParseInt(conversation, 10, 64)
	if err == nil {
		err = b.Delete("7", id)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *backend) Busy(t *testing.T) { t.Helper(); b.fault(t, simulator.Fault{Name: simulator.Busy}) }

func (b *backend) Drop(t *testing.T) { t.Helper(); b.fault(t, simulator.Fault{Name: simulator.Drop}) }

func (b *backend) HalfOpen(t *testing.T) {
	t.Helper()
	b.fault(t, simulator.Fault{Name: simulator.HalfOpen})
}

func (b *backend) RefuseLate(t *testing.T) {
	t.Helper()
	b.fault(t, simulator.Fault{Name: simulator.Refuse, Code: 4401})
}

func (b *backend) fault(t *testing.T, f simulator.Fault) {
	t.Helper()
	f.Account = "7"
	if err := b.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

func (b *backend) await(t *testing.T, what string, condition func(simulator.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Await(ctx, "7", condition); err != nil {
		s, _ := b.Stats("7")
		t.Fatalf("%s: %v; counts: %+v", what, err, s)
	}
}

// script serves handshakes that are accepted and given to fn, and returns a
// session that has been dialed there.
func script(t *testing.T, fn func(*websocket.Conn)) connectors.Session {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		fn(conn)
		_ = conn.CloseNow()
	}))
	t.Cleanup(s.Close)
	session, err := connector(s, token).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func TestTheCodeOfACloseSaysWhetherTheTokenWasRefused(t *testing.T) {
	for code, refused := range map[websocket.StatusCode]bool{
		4001: true, 4003: true, 4401: true, 4403: true,
		1000: false, 1001: false, 1011: false, 1012: false, 4000: false, 4500: false,
	} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			s := script(t, func(c *websocket.Conn) { _ = c.Close(code, "bye") })
			for range 2 { // the second time it is the same
				_, err := s.Receive(t.Context())
				if err == nil || errors.Is(err, connectors.ErrRefused) != refused || !strings.Contains(err.Error(), fmt.Sprint(int(code))) {
					t.Errorf("err = %v, want refused = %t", err, refused)
				}
			}
		})
	}
}

func TestABinaryFrameIsUnreadableAndEndsNothing(t *testing.T) {
	s := script(t, func(c *websocket.Conn) {
		_ = c.Write(t.Context(), websocket.MessageBinary, []byte{1, 2, 3})
		_ = c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"note.new","data":{}}`))
		_ = c.Close(websocket.StatusNormalClosure, "")
	})
	f, err := s.Receive(t.Context())
	if err != nil || f.Kind != connectors.Unreadable || f.Fault == nil || string(f.Raw) != "\x01\x02\x03" {
		t.Fatalf("frame = %+v, %v", f, err)
	}
	f, err = s.Receive(t.Context())
	if err != nil || f.Kind != connectors.Event || f.Type != "note.new" {
		t.Fatalf("frame = %+v, %v", f, err)
	}
}

func TestAFrameOfALongMessageIsRead(t *testing.T) {
	text := strings.Repeat("x", 1<<20)
	s := script(t, func(c *websocket.Conn) {
		_ = c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"note.new","data":{"text":"`+text+`"}}`))
		_ = c.Close(websocket.StatusNormalClosure, "")
	})
	f, err := s.Receive(t.Context())
	if err != nil || f.Kind != connectors.Event || len(f.Data) < len(text) {
		t.Fatalf("frame of %d bytes, kind %d, %v", len(f.Raw), f.Kind, err)
	}
}

func TestADialThatFailsSaysWhyAndShowsNoToken(t *testing.T) {
	unread := errors.New("open token: no such file")
	tests := []struct {
		name    string
		status  int // of the answer; 0: nobody is there
		token   func() (secret.Text, error)
		refused bool
		want    string
	}{
		{name: "nobody is there", want: "connection refused"},
		{name: "403", status: 403, refused: true, want: "set accounts.7.token"},
		{name: "401", status: 401, refused: true, want: "set accounts.7.token"},
		{name: "404", status: 404, want: "HTTP 404"},
		{name: "500", status: 500, want: "HTTP 500"},
		{name: "a page and no WebSocket", status: 200, want: "HTTP 200"},
		{name: "no token", token: func() (secret.Text, error) { return "", unread }, refused: true, want: unread.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) }))
			t.Cleanup(s.Close)
			if tt.status == 0 && tt.token == nil {
				s.Close()
			}
			c := connector(s, token)
			if tt.token != nil {
				c = account.New(account.Options{Account: "7", WSURL: s.URL, Token: tt.token})
			}
			session, err := c.Dial(t.Context())
			if err == nil {
				_ = session.Close()
				t.Fatal("it was accepted")
			}
			if errors.Is(err, connectors.ErrRefused) != tt.refused || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q, refused = %t", err, tt.want, tt.refused)
			}
			for _, shown := range []string{token.Reveal(), "s3cr3t"} {
				if strings.Contains(err.Error(), shown) {
					t.Errorf("err = %v shows the token", err)
				}
			}
		})
	}
}

func TestADialEndsWithItsContextWhereNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := account.New(account.Options{
		Account: "7", WSURL: "ws://" + l.Addr().String(), Token: func() (secret.Text, error) { return token, nil },
	})
	began := time.Now()
	if _, err := c.Dial(ctx); err == nil || time.Since(began) > 5*time.Second || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("after %s err = %v", time.Since(began), err)
	}
}

func TestTheTokenIsReadForEachSession(t *testing.T) {
	b := serve(t, simulator.Options{})
	now := secret.Text("rotated away")
	c := account.New(account.Options{
		Account: "7", WSURL: "ws" + strings.TrimPrefix(b.http.URL, "http"),
		Token: func() (secret.Text, error) { return now, nil }, HTTPClient: b.http.Client(),
	})
	if _, err := c.Dial(t.Context()); !errors.Is(err, connectors.ErrRefused) {
		t.Fatalf("err = %v", err)
	}
	now = token
	s, err := c.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

func TestPingDoesNotNeedTheProtocolsPong(t *testing.T) {
	b := serve(t, simulator.Options{IgnorePing: true})
	s, err := b.Connector(token).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = s.Receive(t.Context())
	}()
	for range 4 {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.await(t, "every second ping is the protocol's too", func(s simulator.Stats) bool { return s.Actions["ping"] == 2 })
	_ = s.Close()
	<-over
}

func TestTheSourceIsHostAndAccount(t *testing.T) {
	c := account.New(account.Options{Account: "a/b c", WSURL: "wss://user:hunter22@example.com:8443/"})
	if got, want := c.Source(), "//example.com:8443/accounts/a%2Fb%20c"; got != want {
		t.Errorf("Source() = %s, want %s", got, want)
	}
}
