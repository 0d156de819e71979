package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/test/bufconn"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func typing(kind event.ActionType, conversation string) event.Action {
	return event.Action{Type: kind, Account: "7", Conversation: conversation}
}

// typed is what the backend told of typing, and when.
type typed struct {
	mu  sync.Mutex
	all []string
}

func (w *typed) frame(began time.Time) func(context.Context, connectors.Frame) error {
	return func(_ context.Context, f connectors.Frame) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if f.Type.Live() {
			w.all = append(w.all, fmt.Sprintf("%s %s %s", time.Since(began), f.Type, f.Conversation))
		}
		return nil
	}
}

// TestTypingIsStoppedThreeSecondsAfterItWasLastStarted needs no NATS, so that
// it runs in virtual time.
func TestTypingIsStoppedThreeSecondsAfterItWasLastStarted(t *testing.T) {
	tests := []struct {
		name string
		do   func(act func(event.ActionType, string) error)
		want []string
	}{
		{"by us", func(act func(event.ActionType, string) error) {
			_ = act(event.StartTyping, "1")
		}, []string{"0s typing.start 1", "3s typing.stop 1"}},
		{"later, when it was started again", func(act func(event.ActionType, string) error) {
			_ = act(event.StartTyping, "1")
			time.Sleep(2 * time.Second)
			_ = act(event.StartTyping, "1")
			time.Sleep(2 * time.Second)
			_ = act(event.StartTyping, "1")
		}, []string{"0s typing.start 1", "2s typing.start 1", "4s typing.start 1", "7s typing.stop 1"}},
		{"not again, when its sender did", func(act func(event.ActionType, string) error) {
			_ = act(event.StartTyping, "1")
			time.Sleep(time.Second)
			_ = act(event.StopTyping, "1")
		}, []string{"0s typing.start 1", "1s typing.stop 1"}},
		{"by conversation", func(act func(event.ActionType, string) error) {
			_ = act(event.StartTyping, "1")
			time.Sleep(time.Second)
			_ = act(event.StartTyping, "2")
		}, []string{"0s typing.start 1", "1s typing.start 2", "3s typing.stop 1", "4s typing.stop 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard typed
				door, out, _ := typingRig(t, heard.frame(time.Now()))
				tt.do(func(kind event.ActionType, conversation string) error {
					_, err := door.Act(t.Context(), sender, typing(kind, conversation))
					if err != nil {
						t.Error(err)
					}
					return err
				})
				time.Sleep(time.Minute)
				synctest.Wait()
				if got, want := fmt.Sprint(heard.all), fmt.Sprint(tt.want); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if n := out.Status().Typing; n != uint64(len(tt.want)) {
					t.Errorf("%d were counted", n)
				}
			})
		})
	}
}

func TestTypingIsStoppedWhenItsSenderIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard typed
		door, _, _ := typingRig(t, heard.frame(time.Now()))
		act := func(sender string, conversation string) {
			if _, err := door.Act(t.Context(), sender, typing(event.StartTyping, conversation)); err != nil {
				t.Error(err)
			}
		}
		act("dead", "1")
		act("alive", "2")
		time.Sleep(time.Second)
		door.SenderGone("dead")
		door.SenderGone("dead") // once is enough
		door.SenderGone("nobody")
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"0s typing.start 1", "0s typing.start 2", "1s typing.stop 1", "3s typing.stop 2"}
		if got := fmt.Sprint(heard.all); got != fmt.Sprint(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}

		// What another started since is that one's.
		heard.all = nil
		act("dead", "1")
		act("alive", "1")
		door.SenderGone("dead")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(heard.all); n != 3 {
			t.Errorf("then it heard %q", heard.all)
		}
	})
}

func TestTypingIsSentAtOnceOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard typed
		door, out, l := typingRig(t, heard.frame(time.Now()))
		if err := l.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := door.Act(t.Context(), sender, typing(event.StartTyping, "1"))
		if !errors.Is(err, outbox.ErrUnavailable) || !errors.Is(err, link.ErrNotConnected) {
			t.Errorf("err = %v", err)
		}
		if err := l.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(heard.all) != 0 || out.Status().Typing != 0 {
			t.Errorf("the backend heard %v", heard.all)
		}
	})
}

// typingRig is a link and a door to an outbox that does not run, in a bubble.
func typingRig(t *testing.T, frame func(context.Context, connectors.Frame) error) (*outbox.Door, *outbox.Outbox, *link.Link) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	sim := simulator.New(simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: token}}})
	for range 2 {
		if _, err := sim.OpenConversation("7", "Ada"); err != nil {
			t.Fatal(err)
		}
	}
	memory := bufconn.Listen(64 << 10)
	server := &http.Server{Handler: sim}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(memory) })
	l := link.New(link.Options{
		Dialer: account.New(account.Options{
			Account: "7", WSURL: "ws://backend", Token: func() (secret.Text, error) { return token, nil },
			HTTPClient: &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return memory.DialContext(ctx) },
			}},
		}),
		Frame: frame, Log: log,
	})
	ctx, stop := context.WithCancel(context.Background())
	running.Go(func() { _ = l.Run(ctx) })
	t.Cleanup(func() {
		stop()
		_ = sim.Close()
		_ = server.Close()
		running.Wait()
	})
	synctest.Wait()
	out := outbox.New(outbox.Options{Account: "7", Link: l, Log: log})
	return outbox.NewDoor(nil, map[string]*outbox.Outbox{"7": out}, log), out, l
}

func TestTypingIsStoppedWhenTheOutboxIs(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	one, two := r.conversation(), r.conversation()
	r.open()
	r.connect()
	stop := r.background(r.outbox.Run)
	r.act(typing(event.StartTyping, one))
	r.act(typing(event.StartTyping, two))
	r.act(typing(event.StopTyping, two))
	stop()
	r.await("stops", func(s simulator.Stats) bool { return s.Actions[string(event.StopTyping)] == 2 })
	if s := r.outbox.Status(); s.Typing != 4 {
		t.Errorf("status = %+v", s)
	}
	if _, err := r.door.Act(t.Context(), sender, typing(event.StartTyping, one)); !errors.Is(err, outbox.ErrUnavailable) {
		t.Errorf("it was started after that: %v", err)
	}
}

func TestTypingOfAConversationKeepsItsOrder(t *testing.T) {
	const conversations, times = 50, 4
	var mu sync.Mutex
	last := map[string]event.Type{}
	r := prepare(t, simulator.Options{}, nil)
	for range conversations {
		r.conversation()
	}
	r.open()
	r.connect()
	r.runOutbox()
	r.background(r.door.Run)
	r.background(func(ctx context.Context) error { // a second socket, which hears the order
		l := link.New(link.Options{
			Dialer: account.New(account.Options{
				Account: "7", WSURL: "ws" + r.http.URL[len("http"):], Token: func() (secret.Text, error) { return token, nil },
				HTTPClient: r.http.Client(),
			}),
			Frame: func(_ context.Context, f connectors.Frame) error {
				mu.Lock()
				defer mu.Unlock()
				last[f.Conversation] = f.Type
				return nil
			},
			Log: slog.New(slog.DiscardHandler),
		})
		return l.Run(ctx)
	})
	r.await("both sockets", func(s simulator.Stats) bool { return s.Sockets.Open == 2 })
	nc := r.connectNATS()
	r.request(nc, nats.NewMsg("test.action.7.1.stop_typing")) // the door is open
	for range times {
		for n := range conversations {
			for _, kind := range []string{"start_typing", "stop_typing"} {
				if err := nc.Publish("test.action.7."+strconv.Itoa(n+1)+"."+kind, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// A stop that overtook its start would leave the indicator on.
	settled := func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, kind := range last {
			if kind != event.TypingStop {
				return false
			}
		}
		return len(last) == conversations
	}
	// Our own stops come later than that.
	for deadline := time.Now().Add(2 * time.Second); !settled(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("typing was left on: %v", last)
		}
	}
}
