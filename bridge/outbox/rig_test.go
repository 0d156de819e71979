package outbox_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server stops its own clock for the whole process at the end only.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.init.0.func1"))
}

const (
	token    secret.Text = "s3cr3t-token"
	patience             = 10 * time.Second
)

// rig is an outbox between an embedded NATS and a simulated backend.
type rig struct {
	t      *testing.T
	sim    *simulator.Server
	http   *httptest.Server
	bus    *bus.Bus
	link   *link.Link
	outbox *outbox.Outbox
	door   *outbox.Door

	dir   string
	looks bool // the outbox may ask REST, and reads its ledger
	rest  rest

	connector *account.Connector
	change    func(*outbox.Options)
	stops     []func()
	err       error // what the outbox's Run returned

	log text

	mu     sync.Mutex
	claims map[string]string // action by the id of the event that is its echo
}

// text is what was logged.
type text struct {
	mu sync.Mutex
	strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

// start makes a rig with an outbox that runs.
func start(t *testing.T, o simulator.Options, change func(*outbox.Options)) *rig {
	t.Helper()
	r := prepare(t, o, change)
	r.open()
	r.run()
	return r
}

// prepare makes a rig with a backend alone.
func prepare(t *testing.T, o simulator.Options, change func(*outbox.Options)) *rig {
	t.Helper()
	t.Parallel() // much of it is waiting
	o.Accounts = []simulator.Account{{ID: "7", Token: token, AgentID: 3}}
	r := &rig{t: t, sim: simulator.New(o), dir: t.TempDir(), change: change}
	r.http = httptest.NewServer(r.rest.before(r.sim))
	t.Cleanup(func() {
		_ = r.sim.Close()
		r.http.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// open opens the bus and makes the link and the outbox.
func (r *rig) open(change ...func(*bus.Options)) {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(r.t.Output(), &r.log), nil))
	bo := bus.Options{DataDir: r.dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Listen: "127.0.0.1:0", Log: log}
	for _, c := range change {
		c(&bo)
	}
	b, err := bus.Open(r.t.Context(), bo)
	if err != nil {
		r.t.Fatal(err)
	}
	r.stops = append(r.stops, func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			r.t.Error(err)
		}
	})
	r.bus, r.claims = b, map[string]string{}
	r.connector = account.New(account.Options{
		Account: "7", WSURL: "ws" + strings.TrimPrefix(r.http.URL, "http"), APIURL: r.http.URL, MessageType: event.MessageOutgoing,
		Token: func() (secret.Text, error) { return token, nil }, HTTPClient: r.http.Client(),
	})
	r.link = link.New(link.Options{
		Dialer: r.connector, Frame: r.frame, Initial: time.Millisecond, Max: 10 * time.Millisecond, Log: log,
	})
	o := outbox.Options{
		Account: "7", Source: "//h/accounts/7", Bus: b, Link: r.link,
		Self: outbox.Self{SenderType: "User", SenderID: 3}, Log: log,
	}
	if r.looks {
		o.Backend, o.Ledger, o.Confirm, o.Settle, o.Drain = r.connector, r.ledger, 200*time.Millisecond, 700*time.Millisecond, time.Millisecond
	}
	if r.change != nil {
		r.change(&o)
	}
	r.outbox = outbox.New(o)
	r.door = outbox.NewDoor(b, map[string]*outbox.Outbox{"7": r.outbox, "nine": nil}, log)
}

// frame does what the bridge does with frames, as far as the outbox is in it.
func (r *rig) frame(_ context.Context, f connectors.Frame) error {
	switch f.Kind {
	case connectors.Complaint:
		r.outbox.Complained(f.Text)
		var said struct {
			ClientRef string `json:"client_ref"`
		}
		if json.Unmarshal(f.Data, &said) == nil && said.ClientRef != "" {
			r.outbox.Refused(said.ClientRef, f.Text)
		}
	case connectors.Event:
		e := event.Event{ID: "7/" + string(f.Type) + "/" + f.Object, Type: f.Type, Account: "7", Conversation: f.Conversation, Data: f.Data}
		if f.Type == event.ConversationUpdated {
			e.ID += "/" + rand.Text() // each is an event of its own
		}
		r.outbox.Claim(&e, f.ClientRef)
		if e.Action != "" {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.claims[e.ID] = e.By + "/" + e.Action
		}
	}
	return nil
}

// claimed is the action that an event is the echo of.
func (r *rig) claimed(event string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claims[event]
}

// run runs the outbox, and the link for longer.
func (r *rig) run() {
	r.connect()
	r.runOutbox()
}

func (r *rig) connect() {
	r.t.Helper()
	r.background(r.link.Run)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.link.Ready(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.await("socket", func(s simulator.Stats) bool { return s.Sockets.Open == 1 })
}

func (r *rig) runOutbox() {
	r.background(func(ctx context.Context) error { r.err = r.outbox.Run(ctx); return r.err })
}

// background runs a part until the rig stops.
func (r *rig) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = run(ctx) })
	stop = func() { cancel(errStopped); running.Wait() }
	r.stops = append(r.stops, stop)
	return stop
}

var errStopped = errors.New("the test stops it")

// stop ends everything but the backend, the latest first.
func (r *rig) stop() {
	for _, stop := range slices.Backward(r.stops) {
		stop()
	}
	r.stops = nil
}

// until waits for what no channel tells.
func (r *rig) until(what string, condition func() bool) {
	r.t.Helper()
	timeout, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-timeout:
			r.t.Fatalf("not in time: %s; status %+v", what, r.outbox.Status())
		}
	}
}

// counts waits for the outbox's counts, which follow its events.
func (r *rig) counts(want outbox.Status) {
	r.t.Helper()
	want.Typing = r.outbox.Status().Typing
	r.until(fmt.Sprintf("%+v", want), func() bool { return r.outbox.Status() == want })
}

func (r *rig) conversation() string {
	r.t.Helper()
	id, err := r.sim.OpenConversation("7", "Ada Okafor")
	if err != nil {
		r.t.Fatal(err)
	}
	return strconv.FormatInt(id, 10)
}

func (r *rig) fault(f simulator.Fault) {
	r.t.Helper()
	f.Account = "7"
	if err := r.sim.SetFault(f); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stats() simulator.Stats {
	r.t.Helper()
	s, err := r.sim.Stats("7")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) await(what string, condition func(simulator.Stats) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.sim.Await(ctx, "7", condition); err != nil {
		r.t.Fatalf("%s: %v; counts: %+v", what, err, r.stats())
	}
}

// send is a send_message.
func send(conversation, id, content string) event.Action {
	body, err := json.Marshal(map[string]string{"content": content})
	if err != nil {
		panic(err)
	}
	return event.Action{ID: id, Type: event.SendMessage, Account: "7", Conversation: conversation, Body: body}
}

const sender = "bot"

// act has the action accepted and returns whether it was a duplicate.
func (r *rig) act(a event.Action) (duplicate bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	duplicate, err := r.door.Act(ctx, sender, a)
	if err != nil {
		r.t.Fatalf("%s: %v", a.ID, err)
	}
	return duplicate
}

// result is an event about an action.
type result struct {
	event.ActionResult
	kind event.Type
	id   string
}

// results gives the events about actions from a feed.
type results struct {
	r    *rig
	feed *bus.Feed
}

// watch watches what is published from when the bus was opened.
func (r *rig) watch() *results {
	r.t.Helper()
	feed, err := r.bus.OpenFeed(r.t.Context(), bus.FeedSpec{
		Owner: "test", Name: "results", Accounts: []string{"7"}, Events: []event.Pattern{"action.*"}, Held: 10_000,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.stops = append(r.stops, feed.Close)
	return &results{r, feed}
}

// next is the next event.
func (w *results) next() result {
	w.r.t.Helper()
	ctx, cancel := context.WithTimeout(w.r.t.Context(), patience)
	defer cancel()
	d, err := w.feed.Next(ctx)
	if err != nil {
		w.r.t.Fatalf("no result came: %v", err)
	}
	_ = d.Ack()
	v, err := d.Event.Decode()
	if err != nil {
		w.r.t.Fatal(err)
	}
	res := v.(event.ActionResult)
	if d.Event.By != res.By || d.Event.Action != res.ID || d.Event.Conversation != res.Conversation || res.Account != "7" {
		w.r.t.Errorf("the envelope %+v differs from %+v", d.Event, res)
	}
	return result{res, d.Event.Type, d.Event.ID}
}

// end is the next event that is an action's end.
func (w *results) end() result {
	w.r.t.Helper()
	for {
		if res := w.next(); res.kind != event.ActionSent {
			return res
		}
	}
}

// wants asserts the next end.
func (w *results) wants(id string, end event.Type, reason string) result {
	w.r.t.Helper()
	res := w.end()
	if res.ID != id || res.kind != end || !strings.Contains(res.Reason, reason) {
		w.r.t.Fatalf("got %s of %s because of %q, want %s of %s because of %q", res.kind, res.ID, res.Reason, end, id, reason)
	}
	return res
}

// detail is the conversation, as REST has it.
func (r *rig) detail(conversation string) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.http.URL+"/api/v1/accounts/7/conversations/"+conversation+"/", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token.Reveal())
	res, err := r.http.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// messages are the conversation's messages, as REST has them.
func (r *rig) messages(conversation string) []event.Message {
	r.t.Helper()
	var detail struct{ Messages []event.Message }
	if err := json.Unmarshal([]byte(r.detail(conversation)), &detail); err != nil {
		r.t.Fatal(err)
	}
	return detail.Messages
}

func (r *rig) contents(conversation string) []string {
	r.t.Helper()
	var list []string
	for _, m := range r.messages(conversation) {
		list = append(list, m.Content)
	}
	return list
}

// connectNATS connects as anybody may.
func (r *rig) connectNATS() *nats.Conn {
	r.t.Helper()
	nc, err := nats.Connect(r.bus.Address())
	if err != nil {
		r.t.Fatal(err)
	}
	r.stops = append(r.stops, nc.Close)
	return nc
}

func (r *rig) guest() jetstream.JetStream {
	r.t.Helper()
	js, err := jetstream.New(r.connectNATS())
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}

// dead are the outbox's dead letters of a conversation.
func (r *rig) dead(conversation string) []*jetstream.RawStreamMsg {
	r.t.Helper()
	stream, err := r.guest().Stream(r.t.Context(), "TEST_DEAD")
	if err != nil {
		r.t.Fatal(err)
	}
	var letters []*jetstream.RawStreamMsg
	for n := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(r.t.Context(), n+1)
		if err != nil {
			r.t.Fatal(err)
		}
		if m.Subject == "test.dead.outbox.7."+conversation {
			letters = append(letters, m)
		}
	}
	return letters
}

func numbers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("text %d", i)
	}
	return list
}
