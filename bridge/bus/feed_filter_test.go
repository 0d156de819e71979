package bus_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// A feed whose filter was changed goes on where it stood, gets no more than it
// selects, and hears of new events at once.
func TestAFeedWhoseFilterIsChanged(t *testing.T) {
	b := open(t, func(o *bus.Options) { o.Accounts = []string{"7"} })
	of := func(account string, n int) event.Event {
		e := message("1", n)
		e.ID, e.Account = fmt.Sprintf("%s-%d", account, n), account
		return e
	}
	feed := func(events ...event.Pattern) *bus.Feed {
		f, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: events, Held: 100})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	gets := func(f *bus.Feed, id string) {
		t.Helper()
		d := next(t, f)
		if d.Event.ID != id {
			t.Fatalf("came %s, want %s", d.Event.ID, id)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	f := feed("message.*")
	publish(t, b, of("7", 1), of("8", 1), of("7", 2))
	gets(f, "7-1")
	f.Close()
	n := 3
	for _, events := range [][]event.Pattern{{"*"}, {"message.new", "label.*"}, {"*"}} {
		f := feed(events...)
		gets(f, fmt.Sprintf("7-%d", n-1)) // it waited
		began := time.Now()
		const more = 10
		for range more {
			publish(t, b, of("8", n), of("7", n))
			gets(f, fmt.Sprintf("7-%d", n))
			n++
		}
		if took := time.Since(began); took > more*200*time.Millisecond {
			t.Errorf("with %v, %d events took %s", events, more, took)
		}
		f.Close()
		publish(t, b, of("7", n))
		n++
	}
}
