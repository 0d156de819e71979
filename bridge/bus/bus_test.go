package bus_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server stops its own clock for the whole process at the end only.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.init.0.func1"))
}

func open(t *testing.T, change ...func(*bus.Options)) *bus.Bus {
	t.Helper()
	o := bus.Options{
		DataDir: t.TempDir(), Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	b, err := bus.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func closeBus(t *testing.T, b *bus.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func message(conversation string, n int) event.Event {
	return event.Event{
		ID: fmt.Sprintf("7/message.new/%s-%d", conversation, n), Type: event.MessageNew, Source: "//h/accounts/7",
		Account: "7", Conversation: conversation, Time: time.Now(), Data: fmt.Appendf(nil, `{ "id": %d }`, n),
	}
}

// publish publishes and waits until all of it is in the stream.
func publish(t *testing.T, b *bus.Bus, events ...event.Event) (duplicates int) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	wg.Add(len(events))
	for _, e := range events {
		err := b.Publish(t.Context(), e, func(p bus.Publication) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			if p.Err != nil {
				t.Error(p.Err)
			}
			if p.Duplicate {
				duplicates++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	return duplicates
}

func next(t *testing.T, f *bus.Feed) *bus.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d, err := f.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAFeedGivesWhatWasPublishedAsItWas(t *testing.T) {
	b := open(t)
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"message.*"}, Held: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	want := event.Event{
		ID: "7/message.new/1", Type: event.MessageNew, Source: "//h/accounts/7", Account: "7", Conversation: "a.b c%",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Replayed: true, By: "responder", Action: "x/1",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b", Data: []byte("{ \"id\":\t1 }"),
	}
	other := message("1", 2)
	other.Type = "label.added"
	publish(t, b, other, want)
	got := next(t, feed).Event
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAnIDIsPublishedOnce(t *testing.T) {
	b := open(t)
	if n := publish(t, b, message("1", 1)); n != 0 {
		t.Fatalf("%d duplicates at first", n)
	}
	if n := publish(t, b, message("1", 1)); n != 1 {
		t.Errorf("the same id was published twice")
	}
}

func TestAFeedKeepsItsPlaceAndItsOrderOverARestart(t *testing.T) {
	dir := t.TempDir()
	spec := bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 100}
	first := open(t, func(o *bus.Options) { o.DataDir = dir })
	feed, err := first.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		publish(t, first, message("1", n))
	}
	if err := next(t, feed).Ack(); err != nil {
		t.Fatal(err)
	}
	next(t, feed) // under way when the bridge ends
	next(t, feed)
	feed.Close()
	closeBus(t, first)

	second := open(t, func(o *bus.Options) { o.DataDir = dir })
	feed, err = second.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	publish(t, second, message("1", 6))
	for n := 1; n <= 6; n++ {
		if got := next(t, feed).Event.ID; got != message("1", n).ID {
			t.Fatalf("delivery %d is %s", n, got)
		}
	}
}

func TestASecondBridgeOnTheSameDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, func(o *bus.Options) { o.DataDir = dir })
	_, err := bus.Open(t.Context(), bus.Options{DataDir: dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, bus.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("err = %v", err)
	}
}

func TestOpenSaysWhatIsWrongWithNATS(t *testing.T) {
	plain := open(t, func(o *bus.Options) { o.Listen = "127.0.0.1:0" })
	port := plain.Address()[strings.LastIndex(plain.Address(), ":")+1:]
	without, err := server.NewServer(&server.Options{Port: server.RANDOM_PORT, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	without.Start()
	defer without.WaitForShutdown()
	defer without.Shutdown()
	if !without.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server without JetStream is not ready")
	}
	tests := []struct {
		name   string
		change func(*bus.Options)
		want   string
	}{
		{"no JetStream", func(o *bus.Options) { o.URL = without.ClientURL() }, "has no JetStream: start it with JetStream on (nats-server -js)"},
		{"nobody there", func(o *bus.Options) { o.URL = "nats://127.0.0.1:1" }, "is it running"},
		{"a port in use", func(o *bus.Options) { o.Listen = "127.0.0.1:" + port }, "set nats.listen to another"},
		{"a password is not shown", func(o *bus.Options) { o.URL = "nats://me:hunter22@127.0.0.1:1" }, "connect to NATS at nats://127.0.0.1:1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := bus.Options{DataDir: t.TempDir(), Prefix: "test", MaxAge: time.Hour, MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)}
			tt.change(&o)
			_, err := bus.Open(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter22") {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOthersMayNotWriteWhatIsTheBridgesOwn(t *testing.T) {
	b := open(t, func(o *bus.Options) { o.Listen = "127.0.0.1:0" })
	denied := make(chan string, 16)
	guest, err := nats.Connect(b.Address(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err.Error() }))
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	for _, subject := range []string{"test.event.7.1.message.new", "test.queue.7.1.send_message", "test.ledger.7.x.y", "test.again.p.f.7.1", "test.live.7.1.typing.start", "$KV.test-plugins.p.k"} {
		if err := guest.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-denied:
			if !strings.Contains(got, subject) {
				t.Errorf("%s: %s", subject, got)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("publishing to %s was not refused", subject)
		}
	}
	js, err := jetstream.New(guest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), "TEST_EVENTS"); err != nil {
		t.Errorf("a guest may read: %v", err)
	}
}

func TestActionsAreQueuedInOrderAndAnswered(t *testing.T) {
	b := open(t, func(o *bus.Options) { o.Listen = "127.0.0.1:0" })
	stop, err := b.ServeActions(func(r *bus.ActionRequest) {
		if r.Err != nil {
			_ = r.Answer(bus.Answer{Err: r.Err, Code: 400})
			return
		}
		b.Enqueue("nats", r.Action, "hash", func(seq uint64, dup bool, err error) {
			if err := r.Answer(bus.Answer{Sequence: seq, Duplicate: dup, Err: err}); err != nil {
				t.Error(err)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	guest, err := nats.Connect(b.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	js, err := jetstream.New(guest)
	if err != nil {
		t.Fatal(err)
	}

	send := func(id string, headers ...string) (*jetstream.PubAck, error) {
		m := nats.NewMsg("test.action.7.a%2Eb.send_message")
		m.Data = []byte(`{"content":"` + id + `"}`)
		m.Header.Set(nats.MsgIdHdr, id)
		for i := 0; i+1 < len(headers); i += 2 {
			m.Header.Set(headers[i], headers[i+1])
		}
		return js.PublishMsg(t.Context(), m)
	}
	for n := range 3 {
		if ack, err := send(fmt.Sprint(n)); err != nil || ack.Stream != "TEST_ACTIONS" || ack.Sequence != uint64(n+1) {
			t.Fatalf("ack = %+v, %v", ack, err)
		}
	}
	if ack, err := send("1"); err != nil || !ack.Duplicate {
		t.Errorf("the same id again: ack = %+v, %v", ack, err)
	}
	if _, err := send("x", "switchboard-at", "tomorrow"); err == nil || !strings.Contains(err.Error(), "RFC 3339") {
		t.Errorf("a bad time: err = %v", err)
	}

	queue, err := b.OpenQueue(t.Context(), "7", 10)
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	for n := range 3 {
		q, err := queue.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if q.Action.ID != fmt.Sprint(n) || q.Action.Conversation != "a.b" || q.Sender != "nats" || q.Action.Type != event.SendMessage {
			t.Errorf("action %d = %+v of %s", n, q.Action, q.Sender)
		}
	}
}

func TestTheStoreKeepsAnyKey(t *testing.T) {
	b := open(t)
	for _, key := range []string{"plain", "with space", "a.b", ".", "ü/=*>"} {
		if _, err := b.Get(t.Context(), "p", key); !errors.Is(err, bus.ErrNoKey) {
			t.Errorf("Get(%q) before = %v", key, err)
		}
		if err := b.Put(t.Context(), "p", key, []byte(key)); err != nil {
			t.Fatal(err)
		}
		if v, err := b.Get(t.Context(), "p", key); err != nil || string(v) != key {
			t.Errorf("Get(%q) = %q, %v", key, v, err)
		}
		if _, err := b.Get(t.Context(), "q", key); !errors.Is(err, bus.ErrNoKey) {
			t.Errorf("another plugin sees %q: %v", key, err)
		}
		if err := b.Delete(t.Context(), "p", key); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), "p", key); !errors.Is(err, bus.ErrNoKey) {
			t.Errorf("Get(%q) after = %v", key, err)
		}
	}
}

func TestOrderHoldsWhileNATSIsRestarted(t *testing.T) {
	store, port := t.TempDir(), 0
	start := func() *server.Server {
		s, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: cmp.Or(port, server.RANDOM_PORT), JetStream: true, StoreDir: store, SyncAlways: true, NoSigs: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("the server is not ready")
		}
		port = s.Addr().(*net.TCPAddr).Port
		return s
	}
	s := start()
	b := open(t, func(o *bus.Options) { o.URL = s.ClientURL() })

	const conversations, each = 20, 200
	var done sync.WaitGroup
	done.Add(conversations * each)
	for n := range each {
		for c := range conversations {
			err := b.Publish(t.Context(), message(fmt.Sprint(c), n), func(p bus.Publication) {
				if p.Err != nil {
					t.Error(p.Err)
				}
				done.Done()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if n == each/2 {
			s.Shutdown()
			s.WaitForShutdown()
			s = start()
		}
	}
	done.Wait()
	defer s.WaitForShutdown()
	defer s.Shutdown()

	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 2 * conversations * each})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	last := map[string]int{}
	for range conversations * each {
		e := next(t, feed).Event
		if want := message(e.Conversation, last[e.Conversation]).ID; e.ID != want {
			t.Fatalf("event %s where %s was due", e.ID, want)
		}
		last[e.Conversation]++
	}
}
