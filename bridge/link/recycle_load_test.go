package link_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Over real sockets, in real time: what is said goes on in all moments of a
// replacement, and so do actions.
func TestUnderLoadNoFrameAndNoActionIsLostOrDoubledByReplacements(t *testing.T) {
	const rounds = 25
	sim := simulator.New(simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: good}}})
	server := httptest.NewServer(sim)
	defer server.Close()
	defer sim.Close()
	conversation := int64(0)
	for range 2 { // the frames are of the first, what comes of the actions of the second
		var err error
		if conversation, err = sim.OpenConversation("7", "Ada"); err != nil {
			t.Fatal(err)
		}
	}

	var mu sync.Mutex
	var frames []connectors.Frame
	var statuses []link.Status
	enough, last := make(chan struct{}), make(chan struct{})
	recycled := 0
	l := link.New(link.Options{
		Dialer: account.New(account.Options{
			Account: "7", WSURL: "ws" + strings.TrimPrefix(server.URL, "http"), MessageType: event.MessageOutgoing,
			HTTPClient: server.Client(), Token: func() (secret.Text, error) { return good, nil },
		}),
		Frame: func(_ context.Context, f connectors.Frame) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case f.Object == "-1":
				close(last)
			case f.Conversation != fmt.Sprint(conversation):
				frames = append(frames, f)
			}
			return nil
		},
		Changed: func(s link.Status) {
			mu.Lock()
			defer mu.Unlock()
			statuses = append(statuses, s)
		},
		Recycled: func() {
			if recycled++; recycled == rounds {
				close(enough)
			}
		},
		Recycle: 60 * time.Millisecond, Overlap: 40 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancelCause(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = l.Run(ctx) })
	defer running.Wait()
	defer stop(errors.New("the test is over"))
	if err := l.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	var said []string
	sent := 0
	pace := time.NewTicker(500 * time.Microsecond)
	defer pace.Stop()
	// The backend begins to speak to a socket a moment after it has let it in.
	for open := 0; open == 0; <-pace.C {
		stats, err := sim.Stats("7")
		if err != nil {
			t.Fatal(err)
		}
		open = stats.Sockets.Open
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for ; !over(enough); sent++ {
			if err := l.Send(ctx, event.Action{Type: event.MarkAsRead, Conversation: fmt.Sprint(conversation)}, fmt.Sprint("r", sent)); err != nil {
				t.Errorf("action %d: %v", sent, err)
				return
			}
			<-pace.C
		}
	})
	for n := 1000; !over(enough); n++ {
		next := []string{message(n)}
		if n%3 == 0 {
			next = append(next, update(0), update(0), update(1), update(0))
		}
		for _, f := range next {
			if err := sim.Broadcast("7", []byte(f)); err != nil {
				t.Fatal(err)
			}
		}
		said = append(said, next...)
		<-pace.C
	}
	sending.Wait()
	if err := sim.Broadcast("7", []byte(message(-1))); err != nil {
		t.Fatal(err)
	}
	select {
	case <-last:
	case <-time.After(30 * time.Second):
		t.Fatal("the last frame did not come")
	}
	stop(errors.New("the test is over"))
	running.Wait()
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d frames, %d actions, %d replacements", len(said), sent, recycled)
	sameFrames(t, frames, said)
	if len(statuses) != 3 || statuses[1].State != link.Connected {
		t.Errorf("changes: %+v", statuses)
	}
	stats, err := sim.Stats("7")
	if err != nil || len(stats.Refs) != sent || len(stats.Doubles()) > 0 {
		t.Errorf("%d actions of %d were done, doubles: %v, %v", len(stats.Refs), sent, stats.Doubles(), err)
	}
}

func over(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
