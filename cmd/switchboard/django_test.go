package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// TestDjango runs the bridge against a real backend: Django Channels on
// Daphne with Redis, as examples/django-backend has it.
func TestDjango(t *testing.T) {
	t.Parallel()
	for _, echo := range []string{"1", "0"} {
		t.Run("client_ref echoed "+echo, func(t *testing.T) { testDjango(t, echo) })
	}
}

func testDjango(t *testing.T, echo string) {
	backend := startDjango(t, echo)
	bridge := startBridge(t, fmt.Sprintf(`
nats: {listen: "127.0.0.1:0"}
accounts:
  "7":
    ws_url: ws://127.0.0.1:%d
    token: demo-token
    reconnect: {initial: 100ms, max: 500ms}
`, backend.port))
	bridge.await(t, func(s status) bool { return s.Accounts[0].Link.State == link.Connected })
	ears := listen(t, bridge)

	// All six events, out on NATS.
	var opened event.Conversation
	backend.customer(t, http.MethodPost, "/customer/conversations/", `{"name":"Ada","content":"hello"}`, &opened)
	id := fmt.Sprint(opened.ID)
	ears.hear(t, event.ConversationNew, id, nil)
	first := ears.hear(t, event.MessageNew, id, func(m event.Message) bool { return m.Content == "hello" && m.FromContact() })
	ears.hear(t, event.ConversationUpdated, id, nil)
	backend.customer(t, http.MethodPatch, fmt.Sprintf("/customer/messages/%d/", opened.LastMessage.ID), `{"content":"hello there"}`, nil)
	ears.hear(t, event.MessageUpdated, id, func(m event.Message) bool { return m.Content == "hello there" })
	backend.customer(t, http.MethodPost, "/customer/conversations/"+id+"/typing/", `{"is_typing":true}`, nil)
	ears.hear(t, event.TypingStart, id, nil)
	backend.customer(t, http.MethodPost, "/customer/conversations/"+id+"/typing/", `{"is_typing":false}`, nil)
	ears.hear(t, event.TypingStop, id, nil)
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-type": "message.new", "ce-subject": id, "ce-id": "7/message.new/" + fmt.Sprint(opened.LastMessage.ID),
		"ce-source": fmt.Sprintf("//127.0.0.1:%d/accounts/7", backend.port), "Nats-Msg-Id": first.Header.Get("ce-id"),
	} {
		if got := first.Header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}

	// All five actions, in from NATS.
	ears.act(t, id, event.StartTyping, "", "")
	ears.hear(t, event.TypingStart, id, nil)
	ears.act(t, id, event.StopTyping, "", "")
	ears.hear(t, event.TypingStop, id, nil)
	ears.act(t, id, event.SendMessage, "a1", `{"content":"  how can I help? "}`)
	reply := ears.hear(t, event.MessageNew, id, func(m event.Message) bool { return m.SenderType == "User" })
	if by, action := reply.Header.Get("switchboard-by"), reply.Header.Get("switchboard-action"); by != "nats" || action != "a1" {
		t.Errorf("the reply is by %q, of action %q", by, action)
	}
	ears.hear(t, event.ActionConfirmed, id, func(r event.ActionResult) bool { return r.ID == "a1" })
	ears.act(t, id, event.MarkAsRead, "a2", "")
	ears.hear(t, event.ActionConfirmed, id, func(r event.ActionResult) bool { return r.ID == "a2" })
	ears.act(t, id, event.UpdateStatus, "a3", `{"status":1}`)
	ears.hear(t, event.ActionConfirmed, id, func(r event.ActionResult) bool { return r.ID == "a3" })
	if c := backend.conversation(t, id); c.Status != event.StatusResolved || c.UnreadCount != 0 {
		t.Errorf("at the backend the conversation is %s with %d unread", c.Status, c.UnreadCount)
	}

	// The server is stopped; what is asked for meanwhile waits, and is done
	// once it is back.
	backend.stop(t)
	bridge.await(t, func(s status) bool { return s.Accounts[0].Link.State != link.Connected })
	ears.act(t, id, event.SendMessage, "a4", `{"content":"sorry for the wait"}`)
	backend.start(t)
	ears.hear(t, event.ActionConfirmed, id, func(r event.ActionResult) bool { return r.ID == "a4" })
	backend.customer(t, http.MethodPost, "/customer/conversations/"+id+"/messages/", `{"content":"thanks"}`, nil)
	ears.hear(t, event.MessageNew, id, func(m event.Message) bool { return m.Content == "thanks" })

	// A token that is refused is a loud state, and not a silent one.
	refused := startBridge(t, fmt.Sprintf(`accounts: {"7": {ws_url: "ws://127.0.0.1:%d", token: not-the-token}}`, backend.port))
	got := refused.await(t, func(s status) bool { return s.Accounts[0].Link.State == link.Error })
	if reason := got.Accounts[0].Link.Reason; !strings.Contains(reason, "HTTP 403") || strings.Contains(reason, "not-the-token") {
		t.Errorf("reason = %q", reason)
	}
}

// django is examples/django-backend, in processes of its own.
type django struct {
	port, redis int
	data, echo  string
	cmd         *exec.Cmd
	exited      chan error
}

// needDjango ends a test where the backend cannot run.
func needDjango(t *testing.T) {
	t.Helper()
	check := exec.Command("/usr/bin/python3", "-c", "import django, channels, daphne, rest_framework, channels_redis")
	if out, err := check.CombinedOutput(); err != nil {
		why := fmt.Sprintf("Debian's packages for examples/django-backend are not there (see its README): %v: %s", err, lastLine(out))
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip("did not run: " + why)
	}
}

func startDjango(t *testing.T, echo string) *django {
	t.Helper()
	needDjango(t)
	d := &django{port: freePort(t), redis: freePort(t), data: t.TempDir(), echo: echo}
	t.Cleanup(func() { d.stop(t) }) // also where it is not ready in time
	d.start(t)
	return d
}

func (d *django) start(t *testing.T) {
	t.Helper()
	d.cmd = exec.Command("../../examples/django-backend/run",
		"--port", fmt.Sprint(d.port), "--redis-port", fmt.Sprint(d.redis), "--data", d.data)
	d.cmd.Env = append(os.Environ(), "ECHO_CLIENT_REF="+d.echo, "COUNTS=1")
	d.cmd.Stderr = t.Output()
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, exited, ready := d.cmd, make(chan error, 1), make(chan struct{})
	d.exited = exited
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready:") {
				close(ready)
			}
		}
		exited <- cmd.Wait()
	}()
	select {
	case <-ready:
	case err := <-exited:
		t.Fatalf("the backend ended: %v", err)
	case <-time.After(patience):
		t.Fatalf("the backend was not ready within %s", patience)
	}
}

// stop ends it as an operator would. It may be called again.
func (d *django) stop(t *testing.T) {
	t.Helper()
	if d.cmd == nil || d.cmd.Process == nil {
		return
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Errorf("the backend did not end within %s", patience)
		_ = d.cmd.Process.Kill()
	}
	d.cmd = nil
}

// customer does what the page of the backend does.
func (d *django) customer(t *testing.T, method, path, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", d.port, path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	call(t, req, into)
}

func (d *django) conversation(t *testing.T, id string) event.Conversation {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		fmt.Sprintf("http://127.0.0.1:%d/api/v1/accounts/7/conversations/%s/", d.port, id), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token demo-token")
	var c event.Conversation
	call(t, req, &c)
	return c
}

func call(t *testing.T, req *http.Request, into any) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: HTTP %d %s %v", req.Method, req.URL, res.StatusCode, body, err)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
}

// bridgeProcess is `switchboard run` in a process of its own.
type bridgeProcess struct {
	client *api.Client
	// http is where it serves its health; empty: nowhere.
	http string
}

func startBridge(t *testing.T, text string) *bridgeProcess {
	t.Helper()
	data := t.TempDir()
	file := filepath.Join(data, "switchboard.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "data_dir: %s\n%s", data, text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("switchboard", "run", "--config", file)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		began := time.Now()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the bridge ended with %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the bridge took %s to stop", took)
		}
	})
	return &bridgeProcess{client: api.Dial((&config.Config{DataDir: data}).APISocket())}
}

// await waits until the bridge's status is as it should be.
func (b *bridgeProcess) await(t *testing.T, as func(status) bool) status {
	t.Helper()
	timeout, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		var s status
		err := b.client.Status(t.Context(), &s)
		if err == nil && as(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("the status is not as it should be within %s: %+v %v", patience, s, err)
		}
	}
}

// ears hear everything that the bridge publishes, over NATS' own port.
type ears struct {
	js jetstream.JetStream

	mu    sync.Mutex
	heard []*nats.Msg
	more  chan struct{}
}

func listen(t *testing.T, b *bridgeProcess) *ears {
	t.Helper()
	conn, err := nats.Connect(b.await(t, func(s status) bool { return s.NATS.Address != "" }).NATS.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	e := &ears{more: make(chan struct{}, 1)}
	if e.js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"switchboard.event.>", "switchboard.live.>"} {
		if _, err := conn.Subscribe(subject, func(m *nats.Msg) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.heard = append(e.heard, m)
			select {
			case e.more <- struct{}{}:
			default:
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return e
}

// hear waits for an event that was not heard before; is may be nil, or a
// func(T) bool over what the event decodes to.
func (e *ears) hear(t *testing.T, typ event.Type, conversation string, is any) *nats.Msg {
	t.Helper()
	timeout := time.After(patience)
	for {
		e.mu.Lock()
		for i, m := range e.heard {
			if strings.HasSuffix(m.Subject, "."+conversation+"."+string(typ)) && matches(t, typ, m.Data, is) {
				e.heard = append(e.heard[:i:i], e.heard[i+1:]...)
				e.mu.Unlock()
				return m
			}
		}
		e.mu.Unlock()
		select {
		case <-e.more:
		case <-timeout:
			t.Fatalf("no %s of conversation %s within %s", typ, conversation, patience)
		}
	}
}

func matches(t *testing.T, typ event.Type, data []byte, is any) bool {
	t.Helper()
	v, err := event.Event{Type: typ, Data: data}.Decode()
	if err != nil {
		t.Fatal(err)
	}
	switch is := is.(type) {
	case nil:
		return true
	case func(event.Message) bool:
		return is(v.(event.Message))
	case func(event.ActionResult) bool:
		return is(v.(event.ActionResult))
	}
	t.Fatalf("no way to match with %T", is)
	return false
}

// act sends an action as any JetStream client does.
func (e *ears) act(t *testing.T, conversation string, typ event.ActionType, id, body string) {
	t.Helper()
	m := nats.NewMsg("switchboard.action.7." + conversation + "." + string(typ))
	m.Data = []byte(body)
	if id != "" {
		m.Header.Set(nats.MsgIdHdr, id)
	}
	if _, err := e.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func lastLine(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(lines[len(lines)-1])
}
