package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/webhook/webhooktest"
)

// mailbox notes in which order a receiver of webhooks takes what; while it is
// closed it refuses for good.
type mailbox struct {
	receiver http.Handler

	mu     sync.Mutex
	closed bool
	ids    []string
	// conversations are those of the events.
	conversations map[string]int64
}

func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		http.Error(w, "not wanted", http.StatusUnprocessableEntity)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the bridge was killed
	}
	var content struct {
		Data struct {
			Conversation int64 `json:"conversation_id"`
		}
	}
	if err := json.Unmarshal(body, &content); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	id := r.Header.Get(standardwebhooks.HeaderWebhookID)
	is, _, _ := strings.Cut(id, "/again/")
	m.conversations[is] = content.Data.Conversation
	m.ids = append(m.ids, id)
	r.Body = io.NopCloser(bytes.NewReader(body))
	m.receiver.ServeHTTP(w, r)
}

func (m *mailbox) close(closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = closed
}

// again are the events that came once more with keys that match, each once, in
// the order of their first coming.
func (m *mailbox) again(key string) (events []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.ids {
		if is, with, ok := strings.Cut(id, "/again/"); ok && strings.HasPrefix(with, key) && !slices.Contains(events, is) {
			events = append(events, is)
		}
	}
	return events
}

// byConversation takes events apart.
func (m *mailbox) byConversation(events []string) map[int64][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := map[int64][]string{}
	for _, id := range events {
		of[m.conversations[id]] = append(of[m.conversations[id]], id)
	}
	return of
}

// first are the events that came as they were published.
func (m *mailbox) first() (events []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.ids {
		if !strings.Contains(id, "/again/") && !slices.Contains(events, id) {
			events = append(events, id)
		}
	}
	return events
}

// command runs one of ours on the bridge.
func (m *mortal) command(t *testing.T, args ...string) string {
	t.Helper()
	var failed strings.Builder
	cmd := exec.CommandContext(t.Context(), "switchboard", append(args, "--config", m.file)...)
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("switchboard %s: %v: %s%s", strings.Join(args, " "), err, out, failed.String())
	}
	return string(out)
}

func TestEventsReachAReceiverOnceMore(t *testing.T) {
	t.Parallel()
	const conversations, each = 4, 8
	backend := simulator.New(simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: "token-1", AgentID: 3}}, EchoRef: true})
	defer backend.Close()
	simulated := httptest.NewServer(backend)
	defer simulated.Close()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes....")) // of nobody
	receiver, err := webhooktest.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	box := &mailbox{receiver: receiver, conversations: map[string]int64{}}
	hook := httptest.NewServer(box)
	defer hook.Close()

	bridge := newMortal(t, fmt.Sprintf(`accounts:
  "7":
    ws_url: ws%s
    api_url: %s
    token: token-1
    reconnect: {initial: 100ms, max: 200ms}
plugins:
  forwarder:
    use: webhook
    accounts: ["7"]
    events: ["message.*"]
    config:
      endpoints: [{name: hook, url: %q, secret: %q}]
      allow_networks: [127.0.0.0/8]
`, strings.TrimPrefix(simulated.URL, "http"), simulated.URL, hook.URL, secret))
	bridge.start(t)
	connected := func() bool {
		var s status
		return bridge.client.Status(t.Context(), &s) == nil && len(s.Accounts) == 1 && s.Accounts[0].Link.State == "connected" &&
			len(s.Plugins) == 1 && s.Plugins[0].State == "running"
	}
	soon(t, "the bridge is connected", connected)

	var ids []int64
	write := func(n int) {
		for range n {
			for _, id := range ids {
				if _, err := backend.CustomerWrites("7", id, "hello"); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range conversations {
		id, err := backend.OpenConversation("7", "Ada")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	write(each)
	soon(t, "all is received", func() bool { return len(box.first()) == conversations*each })
	sent := box.first()

	if got, want := bridge.command(t, "replay", "--plugin", "forwarder", "--since", "1h", "--dry-run"), fmt.Sprintf("%d events would go to feed hook once more\n", len(sent)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// The bridge is killed as soon as the replay is said to be taken.
	out := bridge.command(t, "replay", "--plugin", "forwarder", "--since", "1h", "--json")
	bridge.end(t, syscall.SIGKILL)
	var said struct {
		ID    string
		Feeds []bus.ReplayedFeed
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || !slices.Equal(said.Feeds, []bus.ReplayedFeed{{Feed: "hook", Events: uint64(len(sent)), Taken: uint64(len(sent))}}) {
		t.Fatalf("%s, %v", out, err)
	}
	bridge.start(t)
	soon(t, "all is received once more", func() bool { return len(box.again(said.ID)) == len(sent) })
	// In the same order per conversation; across conversations there is none.
	if got, want := box.byConversation(box.again(said.ID)), box.byConversation(sent); !maps.EqualFunc(got, want, slices.Equal) || len(got) != conversations {
		t.Errorf("received once more %v, want %v", got, want)
	}

	// Dead letters: what the receiver refused, once it is mended.
	soon(t, "the bridge is connected again", connected)
	box.close(true)
	write(2)
	letters := func() []api.DeadLetter {
		list, err := bridge.client.Dead(t.Context(), bus.DeadFilter{Owner: "forwarder"})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	soon(t, "the dead letters are there", func() bool { return len(letters()) == 2*conversations })
	var given []string
	for _, d := range letters() {
		given = append(given, d.ID)
	}
	if out := bridge.command(t, "dead", "list", "--owner", "forwarder"); !strings.Contains(out, "  hook  ") || !strings.Contains(out, "422") {
		t.Errorf("the list names no feed or reason: %s", out)
	}
	box.close(false)
	one := fmt.Sprint(ids[0])
	if out := bridge.command(t, "dead", "replay", "--all", "--owner", "forwarder", "--conversation", one); !strings.HasSuffix(out, "\n2 replayed\n") {
		t.Errorf("replayed of one conversation: %s", out)
	}
	soon(t, "those of one conversation are received", func() bool { return len(box.again("dead-")) == 2 })
	bridge.command(t, "dead", "replay", "--all", "--owner", "forwarder")
	soon(t, "all of them are received", func() bool { return len(box.again("dead-")) == len(given) })
	if got, want := box.byConversation(box.again("dead-")), box.byConversation(given); !maps.EqualFunc(got, want, slices.Equal) || len(letters()) != 0 {
		t.Errorf("received once more %v, want %v; %d dead letters", got, want, len(letters()))
	}
	if s := receiver.Stats(); s.BadSignatures != 0 || s.Malformed != 0 || s.Types["message.new"] != s.Events {
		t.Errorf("the receiver took %+v", s)
	}
	if len(bridge.unasked()) != 0 {
		t.Error(bridge.unasked())
	}
}
