package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/bridge/faults"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// djangoFault is a row of the fault table against the Django example.
type djangoFault struct {
	name string
	// account are lines of the account's configuration, and frames is how the
	// backend tells what it does; see its load command.
	account, frames string
	// lossy: it keeps events from the socket, so that some must be fetched.
	lossy  bool
	strike func(*testing.T, *djangoWorld)
}

// strikeFor is about how long a fault lasts.
const strikeFor = 4 * time.Second

// djangoFaults are in the order of how long they take to come right: those
// that wait for the settling time of an action, or for a refused token's next
// try, begin first.
var djangoFaults = []djangoFault{
	{name: "refused", lossy: true, strike: func(t *testing.T, w *djangoWorld) {
		w.manage(t, "shell", "-c", "from rest_framework.authtoken.models import Token; Token.objects.all().delete()")
		w.proxy.cut()
		w.bridge.await(t, func(s status) bool { return s.Accounts[0].Link.State == link.Error })
		w.manage(t, "seed")
	}},
	{name: "half-open", lossy: true, strike: func(t *testing.T, w *djangoWorld) {
		w.proxy.freeze()
		pause(t, strikeFor)
	}},
	{name: "killed", lossy: true, strike: func(t *testing.T, w *djangoWorld) {
		for range 2 { // the second time in the middle of what it fetches
			w.bridge.end(t, syscall.SIGKILL)
			pause(t, strikeFor/8)
			w.bridge.start(t)
			w.bridge.await(t, connected)
		}
		pause(t, strikeFor/4)
	}},
	{name: "restarted", strike: func(t *testing.T, w *djangoWorld) {
		// Redis goes with it, and with Redis the load: what it wrote last was
		// never told.
		w.backend.stop(t)
		w.awaitLoad(t, false)
		w.backend.start(t)
		w.load(t)
		pause(t, strikeFor/2)
	}},
	{name: "dropped", lossy: true, strike: func(t *testing.T, w *djangoWorld) {
		for range 4 {
			w.proxy.cut()
			pause(t, strikeFor/4)
		}
	}},
	// Redis forgets who listens, as it does a day after they joined. The bridge
	// joins again with its next socket.
	{name: "deaf", account: "recycle: 3s", lossy: true, strike: func(t *testing.T, w *djangoWorld) {
		w.redis(t, "DEL asgi:group:account_7")
		pause(t, strikeFor)
	}},
	// What is more than the channel layer's 100 frames is dropped while Daphne
	// does not look.
	{name: "burst", lossy: true, strike: func(t *testing.T, w *djangoWorld) {
		for range 2 {
			w.signalBackend(t, syscall.SIGSTOP)
			pause(t, strikeFor*2/5)
			w.signalBackend(t, syscall.SIGCONT)
			pause(t, strikeFor/10)
		}
	}},
	{name: "malformed", frames: "malformed", strike: lasting},
	{name: "duplicated", frames: "duplicated", strike: lasting},
	// An edit that comes before its message is told before it.
	{name: "reordered", frames: "reordered", strike: lasting},
	{name: "none", strike: lasting},
}

func lasting(t *testing.T, _ *djangoWorld) { pause(t, strikeFor) }

// TestDjangoFaults is the fault table against a real backend: Django Channels
// on Daphne, with Redis. What is counted is what that backend has and did.
func TestDjangoFaults(t *testing.T) {
	needDjango(t)
	// Most of a row is waiting. But one begins at a time, and one has load.
	places, turns := make(chan struct{}, 4), new(turns)
	rows := make([]faults.Row, len(djangoFaults))
	var running sync.WaitGroup
	for i, f := range djangoFaults {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			t.Run(f.name, func(t *testing.T) {
				rows[i] = faults.Row{Fault: f.name, Error: "the test ended before it"}
				rows[i] = f.measure(t, turns)
			})
		})
	}
	running.Wait()
	var text bytes.Buffer
	table := newColumns(&text, cells("duplicated"))
	for _, line := range faults.Header() {
		_ = table.print(line...) // a bytes.Buffer takes everything
	}
	for _, row := range rows {
		if row.Fault != "" { // -run may leave some out
			_ = table.print(row.Cells()...)
		}
	}
	t.Logf("against Django:\n%s", text.String())
}

// turns are what rows take one after the other.
type turns struct{ begin, load sync.Mutex }

// begun makes the world of a row.
func (f djangoFault) begun(t *testing.T, turns *turns) *djangoWorld {
	turns.begin.Lock()
	defer turns.begin.Unlock()
	return newDjangoWorld(t, f)
}

func (f djangoFault) measure(t *testing.T, turns *turns) faults.Row {
	const seed, rate, settle = 4, 10, 150 * time.Second
	w := f.begun(t, turns)
	turns.load.Lock()
	unlock := sync.OnceFunc(turns.load.Unlock)
	defer unlock()
	w.load(t)
	ids := w.opened(t)
	row := faults.Trial{
		// Messages of one conversation are written by two processes, of which
		// each tells after its commit: nobody tells the bridge who was first.
		Fault: f.name, Tolerated: []string{"live order"}, Seed: seed, Actions: rate, Settle: settle,
		Conn: w.conn, Conversations: ids, Has: w.has, Ends: w.bridge.unasked,
		Load: func(context.Context) error {
			defer unlock()
			pause(t, strikeFor/8)
			f.strike(t, w)
			pause(t, strikeFor/8)
			w.endLoad(t)
			return nil
		},
	}.Run(t.Context())
	if f.lossy && w.replayed.Load() == 0 {
		t.Error("nothing had to be fetched: the fault was none")
	}
	if !row.OK() {
		t.Error(row.Explain())
	}
	return row
}

// djangoWorld is what one row needs: a backend, a bridge that reaches it
// through a proxy, and a load on the backend.
type djangoWorld struct {
	fault    djangoFault
	backend  *django
	proxy    *proxy
	bridge   *mortal
	conn     *nats.Conn
	replayed atomic.Int64 // events that the bridge fetched
	loads    int
	loader   *exec.Cmd // nil: there is no load
	loaded   *bytes.Buffer
	known    simulator.Snapshot // what the backend had at the last look,
	counted  [2]int             // with that many messages and edits
}

// conversations is how many go on at a time: no more than a page has.
const conversations = 20

func newDjangoWorld(t *testing.T, f djangoFault) *djangoWorld {
	t.Helper()
	w := &djangoWorld{fault: f, backend: startDjango(t, "1")}
	w.proxy = newProxy(t, fmt.Sprintf("127.0.0.1:%d", w.backend.port))
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w.bridge = newMortal(t, fmt.Sprintf(`
nats: {listen: %q}
accounts:
  "7":
    ws_url: ws://%s
    token: demo-token
    message_type: 1
    unclear: resend
    reconnect: {initial: 200ms, max: 2s}
    heartbeat: {interval: 2s, timeout: 2s}
    reconcile: {interval: 3s, sweep: 10s, rate: 30}
    %s
`, address, w.proxy.address(), f.account))
	w.bridge.start(t)
	w.bridge.await(t, connected)
	var err error
	w.conn, err = nats.Connect("nats://"+address, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectBufSize(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.conn.Close)
	if _, err := w.conn.Subscribe("switchboard.event.>", func(m *nats.Msg) {
		if m.Header.Get("switchboard-replayed") == "true" {
			w.replayed.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

func connected(s status) bool { return s.Accounts[0].Link.State == link.Connected }

// opened waits until the load's conversations are there, and returns their ids.
func (w *djangoWorld) opened(t *testing.T) (ids []int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.Tick(50 * time.Millisecond); len(ids) < conversations; {
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("%d conversations of %d within %s", len(ids), conversations, patience)
		}
		list, err := w.list(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ids = nil
		for _, c := range list {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *djangoWorld) list(ctx context.Context) ([]event.Conversation, error) {
	var page struct {
		Results []event.Conversation `json:"results"`
	}
	err := w.get(ctx, "/api/v1/accounts/7/conversations/?ordering=id", &page)
	return page.Results, err
}

// has says what the backend has, and did. The messages are fetched where there
// are others than at the last look.
func (w *djangoWorld) has(ctx context.Context) (s simulator.Snapshot, err error) {
	var counts struct {
		Messages int
		Edits    int
		Done     []struct {
			Ref          string           `json:"client_ref"`
			Type         event.ActionType `json:"type"`
			Conversation int64            `json:"conversation_id"`
			Content      string           `json:"content"`
		}
	}
	if err := w.get(ctx, "/counts/", &counts); err != nil {
		return s, err
	}
	if s.Conversations, err = w.list(ctx); err != nil {
		return s, err
	}
	for _, d := range counts.Done {
		s.Done = append(s.Done, simulator.Done{Ref: d.Ref, Type: d.Type, Conversation: d.Conversation, Content: d.Content})
	}
	s.Messages = w.known.Messages
	if now := [2]int{counts.Messages, counts.Edits}; now != w.counted {
		s.Messages = nil
		for _, c := range s.Conversations {
			var detail struct{ Messages []event.Message }
			if err := w.get(ctx, fmt.Sprintf("/api/v1/accounts/7/conversations/%d/", c.ID), &detail); err != nil {
				return s, err
			}
			s.Messages = append(s.Messages, detail.Messages...)
		}
		if len(s.Messages) == counts.Messages { // else one came meanwhile
			w.counted = now
		}
	}
	w.known = s
	return s, nil
}

// get asks the backend itself, not through the proxy.
func (w *djangoWorld) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", w.backend.port, path), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Token demo-token")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: HTTP %d", path, res.StatusCode)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// pause lets the load go on.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}

// redis gives a command to the channel layer.
func (w *djangoWorld) redis(t *testing.T, command string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.backend.redis))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 64)
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(answer); err != nil || !bytes.HasPrefix(answer, []byte(":1\r\n")) {
		t.Fatalf("redis: %s: %q %v", command, answer[:n], err)
	}
}

func (w *djangoWorld) signalBackend(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := w.backend.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
