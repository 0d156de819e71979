package bus

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// A pull that ends for want of heartbeats throws away what was on its way. Here
// somebody else takes it: to the feed that is the same.
func TestWhatWasLostOnItsWayComesBeforeWhatIsLater(t *testing.T) {
	b, err := Open(t.Context(), Options{
		DataDir: t.TempDir(), Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	feed, err := b.OpenFeed(t.Context(), FeedSpec{
		Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 1, Parked: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	ctx, cancel := context.WithTimeout(t.Context(), ackWait/2)
	defer cancel()
	take := func(n int) {
		t.Helper()
		d, err := feed.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint("e", n); d.Event.ID != want {
			t.Fatalf("%s came, and not %s", d.Event.ID, want)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	const events = 6
	stored := make(chan error)
	for n := range events {
		e := event.Event{
			ID: fmt.Sprint("e", n), Type: event.MessageNew, Account: "7", Conversation: "1", Time: time.Now(), Data: []byte(`{}`),
		}
		if err := b.Publish(ctx, e, func(p Publication) { stored <- p.Err }); err != nil {
			t.Fatal(err)
		}
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}
	take(0)
	consumer, err := b.js.Consumer(ctx, b.streams.events, "p_f")
	if err != nil {
		t.Fatal(err)
	}
	lost, err := consumer.Fetch(2, jetstream.FetchContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range lost.Messages() {
		n++
	}
	if n != 2 || lost.Error() != nil {
		t.Fatalf("%d were lost: %v", n, lost.Error())
	}
	feed.Request(100)
	for n := 1; n < events; n++ {
		take(n)
	}
}
