package host_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// The plugins of the tests with processes are this binary, executed again with
// a role; see processes_test.go.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		play(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// aDay is patience enough in a bubble, where waiting costs nothing.
const aDay = 24 * time.Hour

// anyPlugin handles every event by one function.
func anyPlugin(handle func(context.Context, *sdk.Delivery) error) sdk.Plugin[struct{}] {
	return withFeeds(sdk.Feed{Handlers: sdk.Handlers{OnEvent: handle}})
}

func withFeeds(feeds ...sdk.Feed) sdk.Plugin[struct{}] {
	return sdk.Plugin[struct{}]{
		Name: "tester", Version: "1", Events: []string{"*"}, Actions: event.ActionTypes,
		Configure: func(context.Context, *sdk.Host, struct{}) ([]sdk.Feed, error) { return feeds, nil },
	}
}

// defaultFeed is the world's name of the one feed of a plugin that names none.
const defaultFeed = "tester/default"

// granted has everything granted to "tester".
func granted() host.Spec {
	return host.Spec{Name: "tester", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Actions: event.ActionTypes}
}

// running is a plugin that runs over memory.
type running struct {
	host.Stats
	// stop drains the line and ends all. Its error is the line's.
	stop  func() error
	ended <-chan struct{}
}

// run runs a plugin of the real SDK over memory, until the test ends.
func run[C any](t *testing.T, w *world, p sdk.Plugin[C], spec host.Spec, limits host.Limits) *running {
	t.Helper()
	return serve(t, w, p.Server(slog.New(slog.DiscardHandler)), spec, limits)
}

// serve runs the plugin's end of the line over memory, until the test ends.
func serve(t *testing.T, w *world, plugin pluginv1.PluginServer, spec host.Spec, limits host.Limits) *running {
	t.Helper()
	client, stopServer := dial(t, plugin)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r := &running{ended: ended}
	var err error
	go func() {
		defer close(ended)
		err = host.Run(ctx, client, spec, options(t, w, limits), &r.Stats)
	}()
	r.stop = sync.OnceValue(func() error {
		cancel()
		<-ended
		stopServer()
		return err
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the line broke: %v", err)
		}
	})
	return r
}

// feed is the status of its first feed.
func (r *running) feed() feed.Status {
	if feeds := r.Snapshot("tester").Feeds; len(feeds) > 0 {
		return feeds[0]
	}
	return feed.Status{}
}

func options(t *testing.T, w *world, limits host.Limits) host.Options {
	return host.Options{
		Parts: host.Parts{Feeds: w, Actions: w, Store: w, Timers: w, Backend: w}, Limits: limits,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
}

func dial(t *testing.T, plugin pluginv1.PluginServer) (pluginv1.PluginClient, func()) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(pluginv1.MaxMessage), grpc.MaxSendMsgSize(pluginv1.MaxMessage))
	pluginv1.RegisterPluginServer(server, plugin)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return pluginv1.NewPluginClient(conn), func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// visits are the calls of a handler, in order.
type visits struct {
	mu   sync.Mutex
	list []visit
}

type visit struct {
	id      string
	attempt int
	at      time.Time
}

// add returns how often the event was here before.
func (v *visits) add(d *sdk.Delivery) (before int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, x := range v.list {
		if x.id == d.Event.ID {
			before++
		}
	}
	v.list = append(v.list, visit{d.Event.ID, d.Attempt, time.Now()})
	return before
}

func (v *visits) all() []visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.list)
}

func (v *visits) ids() (ids []string) {
	for _, x := range v.all() {
		ids = append(ids, x.id)
	}
	return ids
}

// of are the visits of one event.
func (v *visits) of(id string) []visit {
	return slices.DeleteFunc(v.all(), func(x visit) bool { return x.id != id })
}

// waits are the times between the visits of one event.
func (v *visits) waits(id string) (waits []time.Duration) {
	list := v.of(id)
	for i := 1; i < len(list); i++ {
		waits = append(waits, list[i].at.Sub(list[i-1].at))
	}
	return waits
}
