package bridge_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
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

// rig is a running bridge of the accounts "7" and "8" between a simulated
// backend and an embedded NATS.
type rig struct {
	*bridge.Bridge
	t    *testing.T
	sim  *simulator.Server
	bus  *bus.Bus
	log  text
	web  *httptest.Server
	host string // of the backend
	dir  string
	// change is what the test wants to be otherwise.
	change []func(*bridge.Account)
	stop   func() error
	over   chan struct{} // closed when Run has returned
}

func start(t *testing.T, o simulator.Options, change ...func(*bridge.Account)) *rig {
	t.Helper()
	t.Parallel() // much of it is waiting
	o.Accounts = []simulator.Account{{ID: "7", Token: token, AgentID: 3}, {ID: "8", Token: token}}
	r := &rig{t: t, sim: simulator.New(o), dir: t.TempDir(), change: change}
	r.web = httptest.NewServer(r.sim)
	t.Cleanup(func() {
		_ = r.sim.Close()
		r.web.Close()
	})
	r.host = strings.TrimPrefix(r.web.URL, "http://")
	t.Cleanup(func() { r.down() })
	r.up()
	return r
}

// up starts the bridge where it ended, and returns when both accounts are
// connected and compared.
func (r *rig) up() {
	t := r.t
	t.Helper()
	log := r.quiet()
	var err error
	r.bus, err = bus.Open(t.Context(), bus.Options{
		DataDir: r.dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Listen: "127.0.0.1:0", Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	var accounts []bridge.Account
	for _, name := range []string{"8", "7"} {
		a := bridge.Account{
			Name: name, Self: outbox.Self{SenderType: "User", SenderID: 3}, Initial: time.Millisecond, Max: 10 * time.Millisecond,
			Connector: account.New(account.Options{
				Account: name, WSURL: "ws://" + r.host, APIURL: r.web.URL, MessageType: event.MessageOutgoing,
				Token: func() (secret.Text, error) { return token, nil }, HTTPClient: r.web.Client(),
			}),
		}
		for _, c := range r.change {
			c(&a)
		}
		accounts = append(accounts, a)
	}
	r.Bridge = bridge.New(bridge.Options{Bus: r.bus, Accounts: accounts, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	var result error
	go func() {
		defer close(over)
		result = r.Run(ctx)
	}()
	r.over = over
	r.stop = func() error { cancel(); <-over; return result }
	for i, name := range []string{"7", "8"} {
		r.until("the past is known from what is new", func() bool { return !r.Status()[i].Reconcile.Compared.IsZero() })
		r.await(name, "a socket", func(s simulator.Stats) bool { return s.Sockets.Open == 1 })
		r.until("a link", func() bool { return r.Link(name).Status().State == link.Connected })
	}
}

// quiet is a log that is shown where the test fails.
func (r *rig) quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.MultiWriter(r.t.Output(), &r.log), nil))
}

// down ends the bridge in good order.
func (r *rig) down() {
	r.t.Helper()
	if r.bus == nil {
		return
	}
	_ = r.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.bus.Close(ctx); err != nil {
		r.t.Error(err)
	}
	r.bus = nil
}

// text is what was logged.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (r *rig) await(account, what string, condition func(simulator.Stats) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.sim.Await(ctx, account, condition); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

func (r *rig) conversation() int64 {
	r.t.Helper()
	id, err := r.sim.OpenConversation("7", "Ada Okafor")
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) tell(raw string) {
	r.t.Helper()
	if err := r.sim.Broadcast("7", []byte(raw)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) fault(f simulator.Fault) {
	r.t.Helper()
	f.Account = "7"
	if err := r.sim.SetFault(f); err != nil {
		r.t.Fatal(err)
	}
}

// status is that of the account 7.
func (r *rig) status() bridge.Status { return r.Status()[0] }

// until waits for what no channel tells.
func (r *rig) until(what string, condition func() bool) {
	r.t.Helper()
	timeout, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-timeout:
			r.t.Fatalf("not in time: %s; status %+v", what, r.Status())
		}
	}
}

// marker is an event that ends what was told before it.
const marker event.Type = "test.marker"

// settle returns when everything that the open socket was told is in the
// stream.
func (r *rig) settle() {
	r.t.Helper()
	before := r.count(marker)
	r.tell(`{"type":"` + string(marker) + `","data":{"conversation_id":0}}`)
	r.until("the marker", func() bool { return r.count(marker) == before+1 })
	r.idle()
}

// idle returns when everything that was received is in the stream.
func (r *rig) idle() {
	r.t.Helper()
	r.until("what was published is in the stream", func() bool {
		in := r.status().Inbound
		var received uint64
		for _, n := range in.Received {
			received += n
		}
		return in.Published+in.Duplicates+in.Live+in.Lost == received
	})
}

func (r *rig) count(p event.Type) uint64 {
	r.t.Helper()
	n, err := r.bus.Count(r.t.Context(), "7", event.Pattern(p))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// guest is a connection to NATS as anybody may have it.
func (r *rig) guest() *nats.Conn {
	r.t.Helper()
	nc, err := nats.Connect(r.bus.Address())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

// stored are all messages of a stream.
func (r *rig) stored(name string) []*jetstream.RawStreamMsg {
	r.t.Helper()
	js, err := jetstream.New(r.guest())
	if err != nil {
		r.t.Fatal(err)
	}
	stream, err := js.Stream(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	var list []*jetstream.RawStreamMsg
	for n := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(r.t.Context(), n+1)
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}
