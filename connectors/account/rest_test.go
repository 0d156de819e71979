package account_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// says serves one answer to everything, and returns a connector to it.
func says(t *testing.T, status int, body string, header ...string) *account.Connector {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(strings.ReplaceAll(body, "TOKEN", token.Reveal())))
	}))
	t.Cleanup(s.Close)
	return connector(s, token)
}

// odd is the data of a message, written as no encoder of ours would.
const odd = `{ "id" :9007199254740993,"conversation_id": "42", "x":{"deep":[1e400, null,"\u00fc ü \"}{\" 日本"]},` + "\n\t" +
	`"created_at":"2026-01-02T03:04:05.000006Z", "updated_at":"2026-01-02T04:00:00+01:00" ,"sender_type":"User","client_ref":"r","x":2}`

func TestDataOfRESTIsKeptByteForByte(t *testing.T) {
	c := says(t, 200, `{"id":42, "messages" :[ `+odd+" ,\n"+odd+`], "more":[1]}`, "Date", "Fri, 02 Jan 2026 03:04:05 GMT")
	d, err := c.Conversation(t.Context(), "42")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Messages) != 2 || !d.Date.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Fatalf("%d messages at %s", len(d.Messages), d.Date)
	}
	for _, f := range d.Messages {
		if string(f.Data) != odd {
			t.Errorf("data = %s", f.Data)
		}
		if f.Type != event.MessageNew || f.Object != "9007199254740993" || f.Conversation != "42" || f.SenderType != "User" ||
			f.ClientRef != "r" || !f.Time.Equal(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)) ||
			!f.Updated.Equal(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)) {
			t.Errorf("frame = %+v", f)
		}
	}
	for name, body := range map[string]string{
		"a page": `{"next":null,"results":[` + odd + `]}`, "a bare array": ` [` + odd + `]`,
	} {
		p, err := says(t, 200, body).Conversations(t.Context(), connectors.Query{})
		if err != nil || len(p.Conversations) != 1 || string(p.Conversations[0].Data) != odd || p.Next != "" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestSocketAndRESTGiveEqualFrames(t *testing.T) {
	b := serve(t, simulator.Options{})
	s, err := b.Connector(token).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b.AwaitSessions(t, 1)
	id := b.Conversation(t)
	if _, err := s.Receive(t.Context()); err != nil { // conversation.new
		t.Fatal(err)
	}
	live, err := s.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Connector(token).Conversation(t.Context(), id)
	if err != nil || len(d.Messages) != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	got := d.Messages[0]
	if got.Type != live.Type || got.Object != live.Object || got.Conversation != live.Conversation || !got.Time.Equal(live.Time) ||
		!got.Updated.Equal(live.Updated) || got.SenderType != live.SenderType || live.Updated.IsZero() || live.SenderType != event.SenderContact {
		t.Errorf("by REST %+v\nlive    %+v", got, live)
	}
}

func TestTheTokenGoesToTheConfiguredHostAlone(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked++ }))
	defer elsewhere.Close()
	var queries []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.Header.Get("Authorization"), "Token "+token.Reveal(); got != want {
			t.Errorf("Authorization = %q", got)
		}
		queries = append(queries, r.URL.RawQuery)
		if r.URL.Query().Get("page") == "" {
			_, _ = fmt.Fprintf(w, `{"next":"%s/api/v1/other/?page=2&ordering=-last_activity_at&x=%%26","results":[]}`, elsewhere.URL)
			return
		}
		_, _ = w.Write([]byte(`{"next":"","results":[{"id":1}]}`))
	}))
	defer s.Close()
	c := connector(s, token)
	after := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	p, err := c.Conversations(t.Context(), connectors.Query{ActiveAfter: after})
	if err != nil || p.Next == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	p, err = c.Conversations(t.Context(), connectors.Query{ActiveAfter: after, Page: p.Next})
	if err != nil || len(p.Conversations) != 1 || p.Next != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	const since = "last_activity_after=2026-01-02T02%3A04%3A05.000006Z&ordering=-last_activity_at"
	if len(queries) != 2 || queries[0] != since || queries[1] != since+"&page=2&x=%26" || asked != 0 {
		t.Errorf("asked %q, and elsewhere %d times", queries, asked)
	}
}

func TestAnAnswerThatIsNoneSaysWhatToDo(t *testing.T) {
	date := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	tests := []struct {
		name   string
		status int
		body   string
		header []string
		is     error         // nil: none of ours
		after  time.Duration // of Busy, at most; -1: it is no Busy
	}{
		{"401", 401, `{"detail":"Invalid token TOKEN"}`, nil, connectors.ErrRefused, -1},
		{"403", 403, ``, nil, connectors.ErrRefused, -1},
		{"404", 404, `{"detail":"Not found."}`, nil, connectors.ErrNotFound, -1},
		{"400", 400, `TOKEN`, nil, nil, -1},
		{"429 for seconds", 429, ``, []string{"Retry-After", "7"}, nil, 7 * time.Second},
		{"503 until a date", 503, ``, []string{"Retry-After", date}, nil, 90 * time.Second},
		{"503 until a date that is past", 503, ``, []string{"Retry-After", "Fri, 02 Jan 2026 03:04:05 GMT"}, nil, 0},
		{"503 without a word", 503, ``, nil, nil, 0},
		{"429 with nonsense", 429, ``, []string{"Retry-After", "-3"}, nil, 0},
		{"500 that shows the request", 500, `<pre>Authorization: Token TOKEN</pre>`, nil, nil, 0},
		{"500 that shows it where it is cut", 500, strings.Repeat("x", 190) + `TOKEN`, nil, nil, 0},
		{"no JSON", 200, `<html>TOKEN`, nil, nil, -1},
		{"nothing", 200, ``, nil, nil, -1},
		{"null", 200, `null`, nil, nil, -1},
		{"a text", 200, `"TOKEN"`, nil, nil, -1},
		{"cut off", 200, `{"messages":[{"id":1,"conversation_id":1}`, nil, nil, -1},
		{"no list in it", 200, `{"detail":"hello"}`, nil, nil, -1},
		{"a list that is none", 200, `{"results":{},"messages":null}`, nil, nil, -1},
		{"an item without an id", 200, `{"results":[{"x":1}],"messages":[{"conversation_id":1}]}`, nil, nil, -1},
		{"an item that is no object", 200, `{"results":[1],"messages":[[]]}`, nil, nil, -1},
		{"invalid UTF-8", 200, "{\"results\":[{\"id\":1,\"x\":\"\xff\"}],\"messages\":[{\"id\":1,\"conversation_id\":1,\"x\":\"\xff\"}]}", nil, nil, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := says(t, tt.status, tt.body, tt.header...)
			_, listed := c.Conversations(t.Context(), connectors.Query{})
			_, read := c.Conversation(t.Context(), "1")
			for _, err := range []error{listed, read} {
				if err == nil {
					t.Fatal("it was accepted")
				}
				for _, mark := range []error{connectors.ErrRefused, connectors.ErrNotFound, connectors.ErrPermanent} {
					if errors.Is(err, mark) != (mark == tt.is) {
						t.Errorf("err = %v, is %v: %t", err, mark, mark != tt.is)
					}
				}
				busy, ok := errors.AsType[*connectors.Busy](err)
				if ok != (tt.after >= 0) || ok && (busy.After > tt.after || busy.After < tt.after-5*time.Second) {
					t.Errorf("err = %#v, want Busy for %s", err, tt.after)
				}
				if text := err.Error(); strings.Contains(text, "s3cr3t") || strings.Contains(text, "\n") {
					t.Errorf("err = %v", err)
				}
			}
		})
	}
}

func TestReadingWithoutATokenOrABackend(t *testing.T) {
	unread := errors.New("open token: no such file")
	c := account.New(account.Options{Account: "7", APIURL: "http://127.0.0.1:1", Token: func() (secret.Text, error) { return "", unread }})
	if _, err := c.Conversation(t.Context(), "1"); !errors.Is(err, connectors.ErrRefused) || !errors.Is(err, unread) {
		t.Errorf("without a token err = %v", err)
	}
	s := httptest.NewServer(http.NotFoundHandler())
	c = connector(s, token)
	s.Close()
	if _, err := c.Conversation(t.Context(), "1"); err == nil || errors.Is(err, connectors.ErrRefused) || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("without a backend err = %v", err)
	}
	if _, err := c.Conversations(t.Context(), connectors.Query{Page: "%zz"}); !errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("with a page that is none err = %v", err)
	}
}
