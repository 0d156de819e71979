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

	dir    string
	change func(*outbox.Options)
	stops  []func()
	err    error // what the outbox's Run returned

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
	r.http = httptest.NewServer(r.sim)
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
	r.link = link.New(link.Options{
		Connector: account.New(account.Options{
			Account: "7", WSURL: "ws" + strings.TrimPrefix(r.http.URL, "http"), MessageType: event.MessageOutgoing,
			Token: func() (secret.Text, error) { return token, nil }, HTTPClient: r.http.Client(),
		}),
		Frame: r.frame, Initial: time.Millisecond, Max: 10 * time.Millisecond, Log: log,
	})
	o := outbox.Options{
		Account: "7", Source: "//h/accounts/7", Bus: b, Link: r.link,
		Self: outbox.Self{SenderType: "User", SenderID: 3}, Log: log,
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
	case connectors.Event:
		e := event.Event{ID: string(f.Type) + "/" + f.Object, Type: f.Type, Account: "7", Conversation: f.Conversation, Data: f.Data}
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
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
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

// messages are the conversation's messages, as REST has them.
func (r *rig) messages(conversation string) []event.Message {
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
	var detail struct{ Messages []event.Message }
	if err := json.NewDecoder(res.Body).Decode(&detail); err != nil {
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

func TestAnAcceptedActionIsInTheQueueWhateverHappensToTheBridge(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open() // no link, no outbox: nothing but the door
	for _, text := range numbers(3) {
		if r.act(send(conversation, text, text)) {
			t.Errorf("%s is a duplicate", text)
		}
	}
	if s := r.outbox.Status(); s.Accepted != 3 || s.Sent != 0 {
		t.Errorf("status = %+v", s)
	}
	r.stop()

	r.open()
	results := r.watch()
	r.run()
	for _, text := range numbers(3) {
		results.wants(text, event.ActionConfirmed, "")
	}
	if got := r.contents(conversation); !slices.Equal(got, numbers(3)) {
		t.Errorf("messages: %q", got)
	}
}

func TestAnActionIsConfirmedByItsEcho(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(fmt.Sprintf("ref echoed %t", echo), func(t *testing.T) {
			r := start(t, simulator.Options{EchoRef: echo}, nil)
			results, conversation := r.watch(), r.conversation()
			actions := []struct {
				event.Action
				echo event.Type
			}{
				{send(conversation, "message", " line\r\nline … <b> \n"), event.MessageNew},
				{event.Action{ID: "status", Type: event.UpdateStatus, Body: []byte(`{"status":1}`)}, event.ConversationUpdated},
				{event.Action{ID: "read", Type: event.MarkAsRead}, event.ConversationUpdated},
			}
			for _, a := range actions {
				a.Account, a.Conversation = "7", conversation
				r.act(a.Action)
				if res := results.next(); res.kind != event.ActionSent || res.ID != a.ID || res.Attempts != 1 || res.By != sender {
					t.Fatalf("first came %+v", res)
				}
				res := results.next()
				if res.kind != event.ActionConfirmed || res.ID != a.ID || res.Attempts != 1 || res.Type != a.Type || !strings.HasPrefix(res.Event, string(a.echo)+"/") {
					t.Fatalf("then came %+v", res)
				}
				if got := r.claimed(res.Event); got != sender+"/"+a.ID {
					t.Errorf("the echo is that of %q", got)
				}
				if res.id != "7/action.confirmed/"+sender+"/"+a.ID {
					t.Errorf("the event has the id %s", res.id)
				}
			}
			r.counts(outbox.Status{Accepted: 3, Sent: 3, Confirmed: 3})
		})
	}
}

func TestTwoEqualTextsAreTwoActions(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(fmt.Sprintf("ref echoed %t", echo), func(t *testing.T) {
			r := start(t, simulator.Options{EchoRef: echo}, nil)
			results, conversation := r.watch(), r.conversation()
			r.act(send(conversation, "1", "ok"))
			r.act(send(conversation, "2", "ok"))
			one, two := results.wants("1", event.ActionConfirmed, ""), results.wants("2", event.ActionConfirmed, "")
			if one.Event == two.Event {
				t.Errorf("%s confirmed both", one.Event)
			}
			if got := r.contents(conversation); !slices.Equal(got, []string{"ok", "ok"}) {
				t.Errorf("messages: %q", got)
			}
		})
	}
}

func TestAnEchoThatComesTwiceConfirmsOneAction(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	r.fault(simulator.Fault{Name: simulator.Duplicate})
	r.fault(simulator.Fault{Name: simulator.Slow}) // so that the second copy comes when the second action waits
	r.act(send(conversation, "1", "ok"))
	r.act(send(conversation, "2", "ok"))
	one, two := results.wants("1", event.ActionConfirmed, ""), results.wants("2", event.ActionConfirmed, "")
	if one.Event == two.Event {
		t.Errorf("%s confirmed both", one.Event)
	}
}

func TestWhatCountsAsAnEcho(t *testing.T) {
	message := func(more string) string {
		return `{"type":"message.new","data":{"id":50,"conversation_id":99,"message_type":1,` + more + `}}`
	}
	tests := []struct {
		name      string
		self      outbox.Self
		echo      string
		confirmed bool
	}{
		{"our own message, its white space and line ends normalised", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), true},
		{"a contact's message of the same text", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"Contact","sender_id":3`), false},
		{"another user's message of the same text", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User","sender_id":4`), false},
		{"a message of nobody", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User"`), false},
		{"our message of another text", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello there","sender_type":"User","sender_id":3`), false},
		{"our message in another conversation", outbox.Self{SenderType: "User", SenderID: 3},
			strings.Replace(message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), "99", "98", 1), false},
		{"an edit", outbox.Self{SenderType: "User", SenderID: 3},
			strings.Replace(message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), "message.new", "message.updated", 1), false},
		{"any user's message, where it is not known who we are", outbox.Self{},
			message(`"content":"hello\nthere","sender_type":"AgentBot","sender_id":4`), true},
		{"a contact's message, where it is not known who we are", outbox.Self{},
			message(`"content":"hello\nthere","sender_type":"Contact","sender_id":4`), false},
		{"our ref, whatever the text is", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"moderated","sender_type":"User","sender_id":4,"client_ref":"bot/id"`), true},
		{"another's ref", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User","sender_id":3,"client_ref":"bot/other"`), false},
		{"our text without a ref, where the backend echoes refs", outbox.Self{SenderType: "User", SenderID: 3},
			`{"type":"note.new","data":{"client_ref":"x"}}` + "\x00" + message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, simulator.Options{}, func(o *outbox.Options) {
				if o.Self = tt.self; !tt.confirmed {
					o.Confirm = 250 * time.Millisecond
				}
			})
			results := r.watch()
			r.act(send("99", "id", "  hello\r\nthere ")) // the backend has no such conversation, and says nothing of it
			if res := results.next(); res.kind != event.ActionSent {
				t.Fatalf("first came %+v", res)
			}
			for raw := range strings.SplitSeq(tt.echo, "\x00") {
				if err := r.sim.Broadcast("7", []byte(raw)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.confirmed {
				results.wants("id", event.ActionConfirmed, "")
			} else {
				results.wants("id", event.ActionFailed, "unclear")
			}
		})
	}
}

func TestAnActionThatIsNotEchoedFailsAndIsADeadLetter(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Confirm = 500 * time.Millisecond })
	results := r.watch()
	r.act(send("99", "lost", "hello"))
	results.wants("lost", event.ActionFailed, "unclear: sent, but the backend did not echo it within 500ms; meanwhile it complained: conversation 99")
	letters := r.dead("99")
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	h := letters[0].Header
	if string(letters[0].Data) != `{"content":"hello"}` || h.Get("switchboard-action") != "lost" || h.Get("switchboard-by") != sender ||
		!strings.HasPrefix(h.Get("switchboard-reason"), "unclear: sent") || h.Get("switchboard-attempts") != "1" {
		t.Errorf("the dead letter is %q with %v", letters[0].Data, h)
	}
	r.counts(outbox.Status{Accepted: 1, Sent: 1, Failed: 1})
}

func TestAnImpossibleActionFailsAtOnceAndIsADeadLetter(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results := r.watch()
	r.act(send("not-a-number", "x", "hello"))
	if res := results.next(); res.kind != event.ActionFailed || res.ID != "x" || !strings.Contains(res.Reason, "not a number") || res.Attempts != 0 {
		t.Errorf("got %+v", res)
	}
	if n := len(r.dead("not-a-number")); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	conversation := r.conversation()
	r.act(send(conversation, "y", "hello"))
	results.wants("y", event.ActionConfirmed, "")
}

func TestAnIDIsDoneOnceForEachSender(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	if r.act(send(conversation, "x", "hello")) {
		t.Error("the first is a duplicate")
	}
	results.wants("x", event.ActionConfirmed, "")
	if !r.act(send(conversation, "x", "hello again")) {
		t.Error("the second is no duplicate")
	}
	if duplicate, err := r.door.Act(t.Context(), "another", send(conversation, "x", "from another")); err != nil || duplicate {
		t.Errorf("another sender's: duplicate %t, %v", duplicate, err)
	}
	if res := results.wants("x", event.ActionConfirmed, ""); res.By != "another" {
		t.Errorf("by %s", res.By)
	}
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello", "from another"}) {
		t.Errorf("messages: %q", got)
	}
	if s := r.stats(); s.Refs["bot/x"] != 1 || s.Refs["another/x"] != 1 || r.outbox.Status().Duplicates != 1 {
		t.Errorf("refs: %v, status %+v", s.Refs, r.outbox.Status())
	}
}

func TestAnIDIsRememberedOverARestart(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.act(send(conversation, "x", "hello"))
	first := results.wants("x", event.ActionConfirmed, "")
	r.stop()

	// A work queue forgets what is done, and with it the id: it is in the queue
	// again, and in the ledger as done.
	r.open()
	results = r.watch()
	r.run()
	r.act(send(conversation, "x", "hello"))
	r.act(send(conversation, "y", "after it"))
	results.wants("y", event.ActionConfirmed, "") // and nothing of x: its end is the same event as before
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello", "after it"}) {
		t.Errorf("messages: %q", got)
	}
	n, err := r.bus.Count(t.Context(), "7", event.Pattern(event.ActionConfirmed))
	if err != nil || n != 2 {
		t.Errorf("%d actions were confirmed, %v; the first was %s", n, err, first.id)
	}
	r.counts(outbox.Status{Accepted: 2, Sent: 1, Confirmed: 2})
}

func TestWhatTheLedgerSaysDecidesWhatHappensAfterACrash(t *testing.T) {
	tests := []struct {
		name, entry string
		end         event.Type
		reason      string
		sent        int
		dead        int
	}{
		{"accepted: it is sent", `{"state":"accepted","attempts":0}`, event.ActionConfirmed, "", 1, 0},
		{"sending: it is unclear and not sent again", `{"state":"sending","attempts":1}`, event.ActionFailed, "unclear", 0, 1},
		{"confirmed: it is told", `{"state":"action.confirmed","attempts":1,"event":"e"}`, event.ActionConfirmed, "", 0, 0},
		{"failed: it is told and buried", `{"state":"action.failed","attempts":1,"reason":"because"}`, event.ActionFailed, "because", 0, 1},
		{"expired: it is told", `{"state":"action.expired","attempts":0,"reason":"late"}`, event.ActionExpired, "late", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := prepare(t, simulator.Options{}, nil)
			conversation := r.conversation()
			r.open()
			if err := r.bus.WriteLedger(t.Context(), "7", sender, "x", []byte(tt.entry)); err != nil {
				t.Fatal(err)
			}
			r.act(send(conversation, "x", "hello"))
			r.act(send(conversation, "y", "after it"))
			results := r.watch()
			r.run()
			if res := results.wants("x", tt.end, tt.reason); res.Attempts > 1 {
				t.Errorf("%d attempts", res.Attempts)
			}
			results.wants("y", event.ActionConfirmed, "")
			if s := r.stats(); s.Refs["bot/x"] != tt.sent || s.Refs["bot/y"] != 1 {
				t.Errorf("the backend did %v", s.Refs)
			}
			if n := len(r.dead(conversation)); n != tt.dead {
				t.Errorf("%d dead letters", n)
			}
			r.stop()

			r.open() // nothing is in the queue any more
			results = r.watch()
			r.run()
			r.act(send(conversation, "z", "later"))
			results.wants("z", event.ActionConfirmed, "")
		})
	}
}

func TestActionsOfAConversationGoOneByOneInTheirOrder(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results := r.watch()
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 5 * time.Millisecond})
	const conversations, count = 3, 10
	want := map[string][]string{}
	for range conversations {
		want[r.conversation()] = numbers(count)
	}
	for _, text := range numbers(count) {
		for conversation := range want {
			r.act(send(conversation, conversation+"/"+text, text))
		}
	}
	unconfirmed := map[string]string{}
	for range 2 * conversations * count {
		res := results.next()
		switch {
		case res.kind == event.ActionSent && unconfirmed[res.Conversation] != "":
			t.Fatalf("%s was sent while %s was unconfirmed", res.ID, unconfirmed[res.Conversation])
		case res.kind == event.ActionSent:
			unconfirmed[res.Conversation] = res.ID
		case res.kind != event.ActionConfirmed || unconfirmed[res.Conversation] != res.ID:
			t.Fatalf("%+v came while %q was under way", res, unconfirmed[res.Conversation])
		default:
			unconfirmed[res.Conversation] = ""
		}
	}
	for conversation, texts := range want {
		if got := r.contents(conversation); !slices.Equal(got, texts) {
			t.Errorf("conversation %s has %q", conversation, got)
		}
	}
}

func TestConversationsDoNotWaitForEachOther(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Confirm, o.Drain = time.Minute, 10*time.Millisecond })
	results, conversation := r.watch(), r.conversation()
	r.act(send("99", "stuck", "it is never echoed"))
	r.act(send("99", "behind", "it waits"))
	for _, text := range numbers(5) {
		r.act(send(conversation, text, text))
	}
	for _, text := range numbers(5) {
		results.wants(text, event.ActionConfirmed, "")
	}
	// One is stuck, one waits for it.
	r.counts(outbox.Status{Accepted: 7, Sent: 6, Confirmed: 5, Waiting: 2})
}

func TestActionsAreKeptWhileDisconnectedAndSentInOrder(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, one, two := r.watch(), r.conversation(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range numbers(10) {
		r.act(send(one, "1/"+text, text))
		r.act(send(two, "2/"+text, text))
	}
	if s := r.outbox.Status(); s.Accepted != 20 || s.Sent != 0 || len(r.stats().Actions) != 0 {
		t.Errorf("status = %+v", s)
	}
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if res := results.end(); res.kind != event.ActionConfirmed {
			t.Errorf("%+v", res)
		}
	}
	for _, conversation := range []string{one, two} {
		if got := r.contents(conversation); !slices.Equal(got, numbers(10)) {
			t.Errorf("conversation %s has %q", conversation, got)
		}
	}
	if doubles := r.stats().Doubles(); len(doubles) > 0 {
		t.Errorf("done twice: %q", doubles)
	}
}

func TestAnActionThatIsTooLateExpires(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := send(conversation, "late", "hello")
	late.Expires = time.Now().Add(200 * time.Millisecond)
	r.act(late)
	r.act(send(conversation, "x", "after it"))
	if res := results.wants("late", event.ActionExpired, "not sent by "+late.Expires.UTC().Format(time.RFC3339)); res.Attempts != 0 {
		t.Errorf("%d attempts", res.Attempts)
	}
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	results.wants("x", event.ActionConfirmed, "")
	if got := r.contents(conversation); !slices.Equal(got, []string{"after it"}) {
		t.Errorf("messages: %q", got)
	}
	r.counts(outbox.Status{Accepted: 2, Sent: 1, Confirmed: 1, Expired: 1})
	if n := len(r.dead(conversation)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

func TestAnActionIsNotSentBeforeItsTime(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	due := time.Now().Add(800 * time.Millisecond)
	later, tomorrow := send(conversation, "later", "later"), send(conversation, "tomorrow", "tomorrow")
	later.At, tomorrow.At = due, time.Now().Add(24*time.Hour)
	r.act(later)
	r.act(tomorrow)
	r.act(send(conversation, "now", "now")) // it does not wait for the others
	results.wants("now", event.ActionConfirmed, "")
	r.stop() // and they are held over a restart

	r.open()
	results = r.watch()
	r.run()
	results.wants("later", event.ActionConfirmed, "")
	messages := r.messages(conversation)
	if len(messages) != 2 || messages[1].Content != "later" || messages[1].CreatedAt.Before(due.Truncate(time.Microsecond)) {
		t.Errorf("messages: %+v, due %s", messages, due)
	}
}

func TestRunFinishesWhatIsUnderWay(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.connect()
	stop := r.background(func(ctx context.Context) error { r.err = r.outbox.Run(ctx); return r.err })
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 300 * time.Millisecond})
	r.act(send(conversation, "1", "one"))
	r.act(send(conversation, "2", "two"))
	if res := results.next(); res.kind != event.ActionSent || res.ID != "1" {
		t.Fatalf("first came %+v", res)
	}
	stop()
	if !errors.Is(r.err, errStopped) {
		t.Errorf("Run returned %v", r.err)
	}
	results.wants("1", event.ActionConfirmed, "")
	r.counts(outbox.Status{Accepted: 2, Sent: 1, Confirmed: 1})
	r.stop()

	r.open()
	results = r.watch()
	r.run()
	results.wants("2", event.ActionConfirmed, "")
	if got := r.contents(conversation); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("messages: %q", got)
	}
}

func TestRunGivesWhatIsUnderWayAnEndOfItsTime(t *testing.T) {
	r := prepare(t, simulator.Options{}, func(o *outbox.Options) { o.Drain = 100 * time.Millisecond })
	r.open()
	results := r.watch()
	r.connect()
	stop := r.background(r.outbox.Run)
	r.act(send("99", "x", "it is never echoed"))
	if res := results.next(); res.kind != event.ActionSent {
		t.Fatalf("first came %+v", res)
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Run ended after %s", took)
	}
	r.stop()

	r.open()
	results = r.watch()
	r.run()
	results.wants("x", event.ActionFailed, "unclear: the bridge ended while it was being sent")
}

func TestRunEndsWhenTheQueueIsGone(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	conversation := r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	tomorrow := send(conversation, "tomorrow", "tomorrow")
	tomorrow.At = time.Now().Add(24 * time.Hour)
	r.act(tomorrow)
	r.act(send(conversation, "waits", "waits for the link"))
	ended := make(chan error)
	other := outbox.New(outbox.Options{Account: "7", Bus: r.bus, Link: r.link, Log: slog.New(slog.DiscardHandler)})
	r.stops[len(r.stops)-1]() // the first ends, and another takes its place
	go func() { ended <- other.Run(context.Background()) }()
	r.until("two actions wait", func() bool { return other.Status().Waiting == 2 })
	if err := r.guest().DeleteConsumer(t.Context(), "TEST_ACTIONS", "outbox_7"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "take actions of account 7: ") {
			t.Errorf("err = %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run goes on")
	}
}

func TestAnEndThatCannotBeWrittenIsWrittenLaterAndNothingIsDoneTwice(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	js := r.guest()
	ledger, err := js.Stream(t.Context(), "TEST_LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 500 * time.Millisecond})
	r.act(send(conversation, "x", "hello"))
	if res := results.next(); res.kind != event.ActionSent {
		t.Fatalf("first came %+v", res)
	}
	if err := js.DeleteStream(t.Context(), "TEST_LEDGER"); err != nil {
		t.Fatal(err)
	}
	r.until("its end could not be written", func() bool {
		return r.claimed("message.new/1") != "" && strings.Contains(r.log.String(), "action waits")
	})
	if _, err := js.CreateStream(t.Context(), ledger.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	results.wants("x", event.ActionConfirmed, "")
	if n := r.stats().Refs["bot/x"]; n != 1 {
		t.Errorf("it was done %d times", n)
	}
}

func TestWhatCannotBeAnActionIsRefusedAtTheDoor(t *testing.T) {
	tests := []struct {
		name   string
		action event.Action
		is     error
		want   string
		code   int
	}{
		{"an unknown type", event.Action{ID: "x", Type: "delete_all", Account: "7", Conversation: "1"},
			event.ErrInvalidAction, `type "delete_all" is not one of [send_message`, 400},
		{"a body that is no JSON", event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte("hello")},
			event.ErrInvalidAction, "body of send_message", 400},
		{"a typo in the body", event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"contents":"hello"}`)},
			event.ErrInvalidAction, `"contents"`, 400},
		{"a blank text", event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"content":" "}`)},
			event.ErrInvalidAction, "not blank", 400},
		{"no id", event.Action{Type: event.MarkAsRead, Account: "7", Conversation: "1"},
			event.ErrInvalidAction, "needs an id", 400},
		{"a time that has passed", event.Action{ID: "x", Type: event.MarkAsRead, Account: "7", Conversation: "1", Expires: time.Now().Add(-time.Second)},
			event.ErrInvalidAction, "expired already", 400},
		{"an unknown account", event.Action{ID: "x", Type: event.MarkAsRead, Account: "8", Conversation: "1"},
			outbox.ErrUnknownAccount, `unknown account "8": this bridge has 7, nine`, 404},
		{"typing while there is no connection", event.Action{Type: event.StartTyping, Account: "7", Conversation: "1"},
			outbox.ErrUnavailable, "not connected", 503},
	}
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	r.background(r.door.Run)
	nc := r.connectNATS()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.door.Act(t.Context(), sender, tt.action)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}

			// And over NATS, in the shape of a JetStream acknowledgement.
			msg := nats.NewMsg(fmt.Sprintf("test.action.%s.%s.%s", tt.action.Account, tt.action.Conversation, tt.action.Type))
			msg.Data = tt.action.Body
			if tt.action.ID != "" {
				msg.Header.Set(nats.MsgIdHdr, tt.action.ID)
			}
			if !tt.action.Expires.IsZero() {
				msg.Header.Set("switchboard-expires", tt.action.Expires.UTC().Format(time.RFC3339Nano))
			}
			answer := r.request(nc, msg)
			if answer.Error.Code != tt.code || !strings.Contains(answer.Error.Description, tt.want) {
				t.Errorf("the answer is %+v", answer)
			}
		})
	}
	if answer := r.request(nc, nats.NewMsg("test.action.7.1")); answer.Error.Code != 400 || !strings.Contains(answer.Error.Description, "{conversation}") {
		t.Errorf("a subject that is none: %+v", answer)
	}
	if s := r.outbox.Status(); s.Accepted != 0 {
		t.Errorf("status = %+v", s)
	}
}

type answer struct {
	Error struct {
		Code        int
		Description string
	}
	Stream    string
	Seq       uint64
	Duplicate bool
}

// request asks again until the door listens.
func (r *rig) request(nc *nats.Conn, msg *nats.Msg) answer {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		res, err := nc.RequestMsg(msg, patience)
		if errors.Is(err, nats.ErrNoResponders) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(res.Data, &a); err != nil {
			r.t.Fatal(err)
		}
		return a
	}
}

func TestActionsComeInOverNATS(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	r.background(r.door.Run)
	nc := r.connectNATS()
	msg := nats.NewMsg("test.action.7." + conversation + ".send_message")
	msg.Header.Set(nats.MsgIdHdr, "x")
	msg.Data = []byte(`{"content":"hello"}`)
	if a := r.request(nc, msg); a.Stream != "TEST_ACTIONS" || a.Seq != 1 || a.Duplicate || a.Error.Code != 0 {
		t.Errorf("the answer is %+v", a)
	}
	if a := r.request(nc, msg); !a.Duplicate {
		t.Errorf("the second answer is %+v", a)
	}
	if res := results.wants("x", event.ActionConfirmed, ""); res.By != outbox.NATS {
		t.Errorf("by %s", res.By)
	}
}
