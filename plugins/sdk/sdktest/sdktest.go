// Package sdktest runs a plugin in a test: the real host's line over memory,
// with feeds, a door for actions, a store, timers and a backend that the test
// can see into.
//
//	line := sdktest.Start(t, greeter.Plugin(), `{}`)
//	out := line.Deliver(event.Event{ID: "1", Type: event.ConversationNew, …})
//	// out.Result is sdktest.Ack; line.Actions() has what it sent
//
// What can go wrong is had by delivering an event a second time, by
// [Line.Restart], [Line.Crash] and [Line.Refuse]. In a bubble of testing/synctest
// retries, timers and timeouts pass without waiting: sleep, and look at
// [Line.Outcomes] and [Line.Actions].
//
// [Run] holds a plugin to what every plugin must keep to.
package sdktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// name is what the plugin runs under.
const name = "under-test"

// patience bounds every wait of a test.
const patience = time.Minute

// Result is what a plugin answered to a delivery.
type Result string

// The results.
const (
	Ack    Result = "ack"
	Retry  Result = "retry"
	Pause  Result = "pause"
	Reject Result = "reject"
)

// Outcome is the answer to the first attempt of a delivery.
type Outcome struct {
	Result Result
	// After is how long a Retry or a Pause asks to wait; 0 where a Retry leaves
	// it to the schedule.
	After  time.Duration
	Reason string
}

// Line is a plugin under test. Its methods fail the test when the plugin does
// not answer within a minute.
type Line struct {
	t       testing.TB
	start   func() (pluginv1.PluginClient, func())
	config  string
	parts   *parts
	stats   *host.Stats
	stop    func()
	crash   func()
	granted host.Spec
}

// Start runs p with a configuration in JSON until the test ends. It is granted
// the accounts "7" and "8", and every event and action that it asks for. A
// refused configuration fails the test.
func Start[C any](t testing.TB, p sdk.Plugin[C], config string) *Line {
	t.Helper()
	l := &Line{
		t: t, config: config,
		parts: newParts(),
		start: func() (pluginv1.PluginClient, func()) { return serve(t, p) },
		granted: host.Spec{
			Name: name, Accounts: []string{"7", "8"},
			Events: event.Patterns(p.Events), Actions: p.Actions, Config: []byte(config),
		},
	}
	l.run()
	t.Cleanup(func() { l.stop() })
	return l
}

// Problems returns what p finds wrong with a configuration, by its schema or
// by itself.
func Problems[C any](t testing.TB, p sdk.Plugin[C], config string) []host.Problem {
	t.Helper()
	client, stop := serve(t, p)
	defer stop()
	_, _, err := host.Configure(t.Context(), client, host.Spec{Name: name, Config: []byte(config)})
	var refusal *host.Refusal
	if errors.As(err, &refusal) && refusal.Reason == "" {
		return refusal.Problems
	}
	if err != nil {
		t.Fatal(err)
	}
	return nil
}

// Deliver hands e to every feed that wants it and returns the outcome of its
// first attempt; where several feeds want it, the first that is not an Ack. An
// event that no feed wants is an Ack. After a Retry the event waits as it would
// in the bridge, and so do the later ones of its conversation.
func (l *Line) Deliver(e event.Event) Outcome {
	l.t.Helper()
	var waiting []<-chan Outcome
	for _, f := range l.parts.wanting(e) {
		waiting = append(waiting, f.push(e))
	}
	result := Outcome{Result: Ack}
	for _, w := range waiting {
		select {
		case out := <-w:
			if result.Result == Ack {
				result = out
			}
		case <-time.After(patience):
			l.t.Fatalf("no outcome of event %s within %s", e.ID, patience)
		}
	}
	return result
}

// Live passes a typing event on, as it happens.
func (l *Line) Live(e event.Event) {
	l.parts.mu.Lock()
	live := l.parts.live
	l.parts.mu.Unlock()
	if live != nil {
		live(e)
	}
}

// Actions are those that the plugin has taken so far, in order; the same id
// twice is one.
func (l *Line) Actions() []event.Action {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	return slices.Clone(l.parts.actions)
}

// Store is a copy of what the plugin has stored.
func (l *Line) Store() map[string][]byte {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	return maps.Clone(l.parts.store)
}

// Restart ends the plugin in good order and starts it anew, over the same store
// and timers. Events that were waiting for another attempt are forgotten.
func (l *Line) Restart() {
	l.t.Helper()
	l.stop()
	l.parts.forget()
	l.run()
}

// Crash ends the plugin's line in the middle of what it does, as the end of its
// process would, and starts it anew, over the same store and timers. Events
// without an Ack or a Reject come again. What Go cannot take from it, its goroutines,
// goes on; the contexts of its handlers end.
func (l *Line) Crash() {
	l.t.Helper()
	l.crash()
	l.run()
}

// run starts the plugin and waits until it is connected.
func (l *Line) run() {
	l.t.Helper()
	client, stopServer := l.start()
	ctx, cancel := context.WithCancel(context.Background())
	l.parts.reset()
	if l.stats == nil {
		l.stats = &host.Stats{}
	}
	ended := make(chan error, 1)
	observed := observe(client, l.parts)
	go func() {
		ended <- host.Run(ctx, observed, l.granted, host.Options{
			Parts: host.Parts{Feeds: l.parts, Actions: l.parts, Store: l.parts, Timers: l.parts, Backend: l.parts},
			Log:   slog.New(slog.DiscardHandler),
		}, l.stats)
	}()
	select {
	case <-observed.connected:
	case err := <-ended:
		cancel()
		stopServer()
		l.t.Fatalf("the plugin did not start: %v", err)
	case <-time.After(patience):
		l.t.Fatalf("the plugin was not connected within %s", patience)
	}
	var once sync.Once
	l.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				l.t.Errorf("the plugin's line broke: %v", err)
			}
			stopServer()
		})
	}
	l.crash = func() {
		once.Do(func() {
			stopServer()
			<-ended // that it broke is what the test wants
			cancel()
		})
	}
}

// serve runs the plugin's end over memory.
func serve[C any](t testing.TB, p sdk.Plugin[C]) (pluginv1.PluginClient, func()) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(pluginv1.MaxMessage), grpc.MaxSendMsgSize(pluginv1.MaxMessage))
	pluginv1.RegisterPluginServer(server, p.Server(slog.New(slog.NewTextHandler(t.Output(), nil))))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(pluginv1.MaxMessage), grpc.MaxCallSendMsgSize(pluginv1.MaxMessage)),
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
			t.Error(fmt.Errorf("serve the plugin: %w", err))
		}
	}
}
