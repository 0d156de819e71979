package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// raw is a plugin that speaks the protocol as no SDK would.
type raw struct {
	pluginv1.UnimplementedPluginServer
	manifest pluginv1.Manifest
	feeds    []*pluginv1.Feed
	problems []*pluginv1.Problem
	connect  func(rawStream) error
	deaf     bool // pings are for connect to answer, or not
}

type rawStream = grpc.BidiStreamingServer[pluginv1.FromHost, pluginv1.FromPlugin]

func (p *raw) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	return &p.manifest, nil
}

func (p *raw) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{Feeds: p.feeds, Problems: p.problems}, nil
}

func (p *raw) Connect(s rawStream) error {
	if !p.deaf {
		s = &alive{rawStream: s}
	}
	return p.connect(s)
}

// alive answers the pings that it reads.
type alive struct {
	rawStream
	mu sync.Mutex
}

func (a *alive) Send(m *pluginv1.FromPlugin) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rawStream.Send(m)
}

func (a *alive) Recv() (*pluginv1.FromHost, error) {
	for {
		m, err := a.rawStream.Recv()
		if err != nil || m.GetPing() == nil {
			return m, err
		}
		pong := &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: &pluginv1.Pong{Number: m.GetPing().GetNumber()}}}
		if err := a.Send(pong); err != nil {
			return nil, err
		}
	}
}

func rawFeeds(names ...string) (feeds []*pluginv1.Feed) {
	for _, name := range names {
		feeds = append(feeds, &pluginv1.Feed{Name: name, Events: []string{"*"}})
	}
	return feeds
}

func outcomes(list ...*pluginv1.Outcome) *pluginv1.FromPlugin {
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Outcomes{Outcomes: &pluginv1.Outcomes{Outcomes: list}}}
}

func acked(delivery uint64) *pluginv1.Outcome {
	return &pluginv1.Outcome{Delivery: delivery, Result: &pluginv1.Outcome_Ack{Ack: &pluginv1.Ack{}}}
}

// answering reads the line and answers each delivery by fn, until it ends.
func answering(fn func(*pluginv1.Delivery) []*pluginv1.Outcome) func(rawStream) error {
	return func(s rawStream) error {
		for {
			m, err := s.Recv()
			if err != nil {
				return nil
			}
			if ping := m.GetPing(); ping != nil {
				if err := s.Send(pong(ping)); err != nil {
					return err
				}
			}
			for _, d := range m.GetDeliveries().GetDeliveries() {
				if err := s.Send(outcomes(fn(d)...)); err != nil {
					return err
				}
			}
		}
	}
}

func TestOutcomesOfDeliveriesThatNeverWereDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		r := serve(t, w, &raw{feeds: rawFeeds("default"), connect: answering(func(d *pluginv1.Delivery) []*pluginv1.Outcome {
			return []*pluginv1.Outcome{
				acked(d.Id + 1000), acked(1 << 48), acked(1<<64 - 1), acked(0), {},
				acked(d.Id), acked(d.Id), // the second is one too many
			}
		})}, granted(), host.Limits{})
		for n := range 200 {
			w.publish(message(strconv.Itoa(n%3), n))
		}
		w.acked(t, defaultFeed, 200)
		synctest.Wait()
		if got := r.feed(); got.Acked != 200 || got.Delivered != 200 {
			t.Errorf("status %+v", got)
		}
	})
}

func TestAnOutcomeWithoutAResultIsARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		serve(t, w, &raw{feeds: rawFeeds("default"), connect: answering(func(d *pluginv1.Delivery) []*pluginv1.Outcome {
			if d.Attempt < 3 {
				return []*pluginv1.Outcome{{Delivery: d.Id}}
			}
			return []*pluginv1.Outcome{acked(d.Id)}
		})}, granted(), host.Limits{})
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		if len(w.deadLetters()) != 0 {
			t.Error("it is a dead letter")
		}
	})
}

// One that lies about what it has read fills its own window, and cannot keep
// the host from ending.
func TestAPluginThatSettlesWhatItHasNotReadCannotHoldTheHost(t *testing.T) {
	w := newWorld(10 * time.Second)
	large := message("a", 1)
	large.Data = fmt.Appendf(nil, "%q", strings.Repeat("x", 1<<20))
	r := serve(t, w, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
		for id := uint64(1); s.Send(outcomes(acked(id))) == nil; id = id%1000 + 1 { // and it reads nothing
		}
		return nil
	}}, granted(), host.Limits{Window: 8, Drain: time.Millisecond})
	for c := range 100 {
		large.ID, large.Conversation = message(strconv.Itoa(c), 1).ID, strconv.Itoa(c)
		w.publish(large)
	}
	// One in gRPC's buffer, one before it, eight in the queue, and one that has no room.
	eventually(t, "a full queue", func() bool { return r.feed().Delivered == 11 })
	stopsWithin(t, 5*time.Second, r)
}

// eventually waits for what nobody tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func stopsWithin(t *testing.T, limit time.Duration, r *running) {
	t.Helper()
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Fatalf("the line does not end within %s", limit)
	}
}

func TestTypingIsDroppedForASlowPluginAndCounted(t *testing.T) {
	w := newWorld(10 * time.Second)
	read, goOn := make(chan *pluginv1.FromHost), make(chan struct{})
	r := serve(t, w, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
		<-goOn
		for {
			m, err := s.Recv()
			if err != nil {
				return nil
			}
			if m.GetLive() != nil {
				read <- m
			}
		}
	}}, granted(), host.Limits{Drain: time.Millisecond})
	w.until(t, "a subscription", func() bool { return w.live != nil })
	if got := w.spec("tester/live"); !slices.Equal(got.Accounts, []string{"7"}) ||
		!slices.Equal(got.Events, []event.Pattern{"typing.start", "typing.stop"}) {
		t.Errorf("live for %+v", got)
	}
	const sent = 1000
	typing := event.Event{
		ID: "t", Type: event.TypingStart, Account: "7", Conversation: "1",
		Data: fmt.Appendf(nil, `{"conversation_id":1,"user_name":%q}`, strings.Repeat("x", 4<<10)),
	}
	for range sent {
		w.live(typing)
	}
	close(goOn)
	dropped := r.LiveDropped.Load()
	if dropped == 0 || dropped > sent-64 {
		t.Errorf("%d of %d dropped", dropped, sent)
	}
	for range sent - dropped {
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatal("what was not dropped does not come")
		}
	}
	if got := r.Live.Load(); got != sent-dropped {
		t.Errorf("%d passed on, %d dropped, %d sent", got, dropped, sent)
	}
}

// A plugin may end the line on its own once it has said what became of all, as
// the protocol has it.
func TestTheLastOutcomesCountThoughThePluginEndsTheLine(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(aDay)
			r := serve(t, w, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
				var inside []*pluginv1.Outcome
				for {
					m, err := s.Recv()
					if err != nil {
						return err
					}
					for _, d := range m.GetDeliveries().GetDeliveries() {
						inside = append(inside, acked(d.Id))
					}
					if m.GetDrain() != nil {
						return s.Send(outcomes(inside...))
					}
				}
			}}, granted(), host.Limits{})
			for c := range 50 {
				w.publish(message(strconv.Itoa(c), 1))
			}
			synctest.Wait()
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if got := len(w.ackedIDs(defaultFeed)); got != 50 {
				t.Fatalf("%d of 50 acknowledged", got)
			}
		})
	}
}

func TestAnEndOfTheLineIsAnErrorUnlessItWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		client, stop := dial(t, &raw{feeds: rawFeeds("default"), connect: func(rawStream) error { return nil }})
		defer stop()
		err := host.Run(t.Context(), client, granted(), options(t, w, host.Limits{}), &host.Stats{})
		if err == nil || !strings.Contains(err.Error(), "plugin tester ended the line") {
			t.Errorf("error %v", err)
		}
		if len(w.open) != 0 || w.live != nil {
			t.Error("its feeds are open still")
		}
	})
}

// What gRPC cannot carry must not end the line: the same event would end it
// again after each restart.
func TestNoEventIsTooMuchForTheLine(t *testing.T) {
	strange := message("\xff", 1)
	strange.ID, strange.By, strange.TraceState = "\xff-1", "\xc3\x28", "a=\xff"
	large := func(c string) event.Event {
		e := message(c, 1)
		e.Data = fmt.Appendf(nil, "%q", strings.Repeat("x", 1<<20))
		return e
	}
	all := []event.Event{strange}
	for c := range 17 { // more than the largest message takes
		all = append(all, large(strconv.Itoa(c)))
	}
	w := newWorld(10 * time.Second)
	w.publish(all...)
	var mu sync.Mutex
	var got []string
	serve(t, w, &raw{feeds: rawFeeds("default"), connect: answering(func(d *pluginv1.Delivery) []*pluginv1.Outcome {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, d.GetEvent().Id)
		return []*pluginv1.Outcome{acked(d.Id)}
	})}, granted(), host.Limits{})
	w.acked(t, defaultFeed, len(all))
	mu.Lock()
	defer mu.Unlock()
	if got[0] != "\uFFFD-1" {
		t.Errorf("the first event is %q", got[0])
	}
}

func TestAReasonWithoutEndIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		r := serve(t, w, &raw{feeds: rawFeeds("default"), connect: answering(func(d *pluginv1.Delivery) []*pluginv1.Outcome {
			return []*pluginv1.Outcome{{Delivery: d.Id, Result: &pluginv1.Outcome_Reject{
				Reject: &pluginv1.Reject{Reason: strings.Repeat("é", 1<<20)},
			}}}
		})}, granted(), host.Limits{})
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		synctest.Wait()
		reasons := []string{w.deadLetters()[0].reason, r.feed().LastError}
		for _, reason := range reasons {
			if len(reason) > 1100 || !strings.HasSuffix(reason, "é…") {
				t.Errorf("the reason has %d bytes and ends in %q", len(reason), reason[len(reason)-8:])
			}
		}
	})
}

func TestRequestsAreBoundedAndAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var mu sync.Mutex
		now, most := 0, 0
		slow := slowStore{w, func() {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
		}}
		const asked = 20
		answers := make(chan *pluginv1.Answer, asked)
		client, stop := dial(t, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
			if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: &pluginv1.Request{Id: 1000}}}); err != nil {
				return err
			}
			for id := range uint64(asked - 1) {
				get := &pluginv1.Request_Get{Get: &pluginv1.Get{Key: "k"}}
				if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{
					Request: &pluginv1.Request{Id: id, Request: get},
				}}); err != nil {
					return err
				}
			}
			for {
				m, err := s.Recv()
				if err != nil {
					return nil
				}
				if a := m.GetAnswer(); a != nil {
					answers <- a
				}
			}
		}})
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		o := options(t, w, host.Limits{Requests: 3})
		o.Parts.Store = slow
		go func() { ended <- host.Run(ctx, client, granted(), o, &host.Stats{}) }()
		codes := map[uint64]pluginv1.Error_Code{}
		for range asked {
			a := <-answers
			codes[a.GetRequest()] = a.GetError().GetCode()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(codes) != asked || most != 3 {
			t.Errorf("%d of %d answered, %d at once, want 3", len(codes), asked, most)
		}
		if codes[1000] != pluginv1.Error_CODE_INVALID || codes[1] != pluginv1.Error_CODE_NOT_FOUND {
			t.Errorf("codes: %s for nothing at all, %s for a key that is not there", codes[1000], codes[1])
		}
	})
}

type slowStore struct {
	host.Store
	work func()
}

func (s slowStore) Get(ctx context.Context, plugin, key string) ([]byte, error) {
	s.work()
	return s.Store.Get(ctx, plugin, key)
}

func TestABrokenFeedEndsTheLineWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		client, stop := dial(t, &raw{feeds: rawFeeds("one", "two"), connect: answering(nil)})
		defer stop()
		o := options(t, w, host.Limits{})
		o.Parts.Feeds = brokenFeeds{w}
		err := host.Run(t.Context(), client, granted(), o, &host.Stats{})
		if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "two") {
			t.Errorf("error %v", err)
		}
		if len(w.open) != 0 {
			t.Errorf("open still: %v", w.open)
		}
	})
}

// brokenFeeds cannot open feed two.
type brokenFeeds struct{ *world }

func (b brokenFeeds) Open(ctx context.Context, spec feed.Spec) (feed.Source, error) {
	if spec.Feed == "two" {
		return nil, errDown
	}
	return b.world.Open(ctx, spec)
}

// What the SDK refuses on the plugin's side, the host refuses for the plugins
// that have none.
func TestTheHostHoldsItsBoundsForPluginsWithoutTheSDK(t *testing.T) {
	act := func(a event.Action) *pluginv1.Request {
		return &pluginv1.Request{Request: &pluginv1.Request_Act{Act: pluginv1.FromAction(a)}}
	}
	put := func(key string, value []byte) *pluginv1.Request {
		return &pluginv1.Request{Request: &pluginv1.Request_Put{Put: &pluginv1.Put{Key: key, Value: value}}}
	}
	const invalid, notGranted = pluginv1.Error_CODE_INVALID, pluginv1.Error_CODE_NOT_GRANTED
	tests := []struct {
		name    string
		request *pluginv1.Request
		code    pluginv1.Error_Code
		text    string
	}{
		{"no key", put("", nil), invalid, "1 to 256 bytes"},
		{"a long key", put(strings.Repeat("k", 257), nil), invalid, "this has 257"},
		{"a large value", put("k", make([]byte, 64<<10+1)), invalid, "65537 bytes, 65536 are allowed"},
		{"an unknown action", act(event.Action{ID: "1", Type: "dance", Account: "7", Conversation: "1"}), invalid, "not one of"},
		{"an action without an id", act(event.Action{Type: event.SendMessage, Account: "7", Conversation: "1"}), invalid, "needs an id"},
		{"an endless account", act(event.Action{ID: "1", Type: event.SendMessage, Account: strings.Repeat("a", 1<<20), Conversation: "1"}),
			invalid, "256 bytes"},
		{"no action at all", act(event.Action{}), invalid, "not one of"},
		{"an action that was not granted", act(event.Action{ID: "1", Type: event.MarkAsRead, Account: "7", Conversation: "1"}),
			notGranted, "plugins.tester.actions"},
	}
	w := newWorld(10 * time.Second)
	spec := granted()
	spec.Actions = []event.ActionType{event.SendMessage}
	answers := make(chan *pluginv1.Answer)
	r := serve(t, w, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
		for _, tt := range tests {
			if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: tt.request}}); err != nil {
				return err
			}
			m, err := s.Recv()
			if err != nil {
				return err
			}
			answers <- m.GetAnswer()
		}
		_, err := s.Recv()
		return err
	}}, spec, host.Limits{Drain: time.Millisecond})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			select {
			case a := <-answers:
				if a.GetError().GetCode() != tt.code || !strings.Contains(a.GetError().GetMessage(), tt.text) {
					t.Errorf("answer %v, want %s with %q", a, tt.code, tt.text)
				}
			case <-r.ended:
				t.Fatal("the line ended")
			}
		})
	}
	if len(w.taken()) != 0 || len(w.stored()) != 0 || r.Refused.Load() != 5 {
		t.Errorf("actions %v, store %v, %d refused", w.taken(), w.stored(), r.Refused.Load())
	}
}
