package bus

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// openBots opens a bus at a port, for bots of those names.
func openBots(ctx context.Context, t *testing.T, names ...string) *Bus {
	t.Helper()
	password := func() (secret.Text, error) { return "password", nil }
	var bots []Bot
	for _, name := range names {
		bots = append(bots, Bot{Name: name, Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Window: 10, Password: password})
	}
	b, err := Open(ctx, Options{
		DataDir: t.TempDir(), Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Listen: "127.0.0.1:0",
		Bots: bots, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// When the embedded server is started anew, the bots come back by themselves.
func TestBotsAreLetInAgainWhenTheServerIsStartedAnew(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b := openBots(ctx, t, "bot")
	back := make(chan struct{}, 1)
	c, err := nats.Connect(b.Address(), nats.UserInfo("bot", "password"), nats.Timeout(time.Minute), nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond), nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := b.restart(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-back:
	case <-ctx.Done():
		t.Fatal("it is not back")
	}
	if _, err := c.RequestWithContext(ctx, "$JS.API.CONSUMER.INFO.TEST_EVENTS.bot", nil); err != nil {
		t.Error(err)
	}
	if n := b.embedded.connections("bot"); n != 1 {
		t.Errorf("it has %d connections", n)
	}
}

func TestABotThatAsksWithoutEndIsCutOffAndForgotten(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b := openBots(ctx, t, "greedy", "modest")
	b.embedded.maxOpen = 500
	running, stop := context.WithCancel(ctx)
	var upkeep sync.WaitGroup
	upkeep.Go(func() { _ = b.Upkeep(running) })
	defer upkeep.Wait()
	defer stop()

	dial := func(name string) (*nats.Conn, chan error) {
		lost := make(chan error, 1)
		c, err := nats.Connect(b.Address(), nats.UserInfo(name, "password"), nats.Timeout(time.Minute), nats.NoReconnect(),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
			nats.ClosedHandler(func(c *nats.Conn) { lost <- c.LastError() }))
		if err != nil {
			t.Fatal(err)
		}
		return c, lost
	}
	greedy, lost := dial("greedy")
	defer greedy.Close()
	modest, fine := dial("modest")
	defer modest.Close()
	if _, err := greedy.SubscribeSync("in"); err != nil {
		t.Fatal(err)
	}
	for greedy.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.TEST_EVENTS.greedy", "in", []byte(`{"batch":1,"no_wait":true}`)) == nil && ctx.Err() == nil {
	}
	select {
	case <-lost:
	case <-ctx.Done():
		t.Fatal("it was not cut off")
	}
	for b.embedded.current().GlobalAccount().NumPendingAllResponses() > 0 {
		if ctx.Err() != nil {
			t.Fatal("what it asked is not forgotten")
		}
	}
	if _, err := modest.RequestWithContext(ctx, "$JS.API.CONSUMER.INFO.TEST_EVENTS.modest", nil); err != nil {
		t.Errorf("the other bot: %v", err)
	}
	select {
	case err := <-fine:
		t.Errorf("the other bot was cut off: %v", err)
	default:
	}
	again, _ := dial("greedy")
	again.Close()
}
