package simulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "s3cr3t-token"

// backend is a server with a listener.
type backend struct {
	*simulator.Server
	http *httptest.Server
}

// serve starts a backend; unless opts names others it has the account "7".
func serve(t *testing.T, opts simulator.Options) *backend {
	t.Helper()
	if opts.Accounts == nil {
		opts.Accounts = []simulator.Account{{ID: "7", Token: token, AgentID: 3}}
	}
	s := simulator.New(opts)
	b := &backend{s, httptest.NewServer(s)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		b.http.Close()
	})
	return b
}

func (b *backend) socketURL(account, token string) string {
	return fmt.Sprintf("ws%s/ws/accounts/%s/?token=%s",
		strings.TrimPrefix(b.http.URL, "http"), url.PathEscape(account), url.QueryEscape(token))
}

// refused dials and returns the status that the handshake is refused with.
func (b *backend) refused(t *testing.T, account, token string) int {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), b.socketURL(account, token), b.options())
	if err == nil {
		_ = conn.CloseNow()
		t.Fatal("the handshake was accepted")
	}
	if resp == nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func (b *backend) options() *websocket.DialOptions {
	return &websocket.DialOptions{HTTPClient: b.http.Client()}
}

// open makes a conversation in the account "7".
func (b *backend) open(t *testing.T) int64 {
	t.Helper()
	id, err := b.OpenConversation("7", "Ada Okafor")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// write lets the customer of the conversation write.
func (b *backend) write(t *testing.T, conversation int64, text string) int64 {
	t.Helper()
	id, err := b.CustomerWrites("7", conversation, text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *backend) fault(t *testing.T, f simulator.Fault) {
	t.Helper()
	f.Account = "7"
	if err := b.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

func (b *backend) stats(t *testing.T) simulator.Stats {
	t.Helper()
	s, err := b.Stats("7")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *backend) await(t *testing.T, what string, condition func(simulator.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Await(ctx, "7", condition); err != nil {
		t.Fatalf("%s: %v; counts: %+v", what, err, b.stats(t))
	}
}

// do makes a request with the token and decodes the answer into v.
func (b *backend) do(t *testing.T, method, path, body string, v any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	resp, err := b.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatalf("%s %s: %s: %v in %q", method, path, resp.Status, err, raw)
		}
	}
	return resp.StatusCode
}

// client is one socket, read all the time.
type client struct {
	*websocket.Conn
	frames chan []byte // closed after the last
	err    error       // why it ended; valid once frames is closed
}

// dial opens a socket of the account "7".
func (b *backend) dial(t *testing.T) *client { t.Helper(); return b.dialAccount(t, "7") }

func (b *backend) dialAccount(t *testing.T, account string) *client {
	t.Helper()
	c := &client{Conn: b.connect(t, account), frames: make(chan []byte, 10_000)}
	go func() {
		defer close(c.frames)
		for {
			_, raw, err := c.Read(context.Background())
			if err != nil {
				c.err = err
				return
			}
			c.frames <- raw
		}
	}()
	t.Cleanup(func() {
		for range c.frames { // until the reader has ended
		}
	})
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// connect opens a socket that nobody reads, and returns when it is counted.
func (b *backend) connect(t *testing.T, account string) *websocket.Conn {
	t.Helper()
	before, err := b.Stats(account)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := websocket.Dial(t.Context(), b.socketURL(account, token), b.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(4 << 20)
	err = b.Await(t.Context(), account, func(s simulator.Stats) bool {
		return s.Sockets.Opened+s.Sockets.Refused > before.Sockets.Opened+before.Sockets.Refused
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw is the next frame as it came.
func (c *client) raw(t *testing.T) []byte {
	t.Helper()
	select {
	case raw, open := <-c.frames:
		if !open {
			t.Fatalf("the socket ended: %v", c.err)
		}
		return raw
	case <-time.After(10 * time.Second):
		t.Fatal("no frame came")
	}
	return nil
}

type frame struct {
	Type string         `json:"type"`
	Data map[string]any `json:"data"`
}

// next is the next frame, which has to be of that type.
func (c *client) next(t *testing.T, kind string) map[string]any {
	t.Helper()
	raw := c.raw(t)
	var f frame
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	if f.Type != kind {
		t.Fatalf("got %s, want %s", raw, kind)
	}
	return f.Data
}

// ended waits for the end of the socket, with no frame before it.
func (c *client) ended(t *testing.T) error {
	t.Helper()
	select {
	case raw, open := <-c.frames:
		if open {
			t.Fatalf("got %s, want the end of the socket", raw)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the socket did not end")
	}
	return c.err
}

func (c *client) send(t *testing.T, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hearsNothingElse asserts that nothing is on the way but the answer to a ping.
func (c *client) hearsNothingElse(t *testing.T) {
	t.Helper()
	c.send(t, `{"type":"ping"}`)
	c.next(t, "pong")
}

// answersPing reports whether a WebSocket ping is answered in time.
func (c *client) answersPing(t *testing.T, in time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), in)
	defer cancel()
	return c.Ping(ctx) == nil
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// kindOf is the type of a frame.
func kindOf(t *testing.T, raw []byte) string {
	t.Helper()
	var f frame
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	return f.Type
}
