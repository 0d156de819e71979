package bus_test

import (
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestWhatIsUnderWaySurvivesACutConnection(t *testing.T) {
	b := open(t)
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	const events = 50
	for i := range events {
		if i%20 == 10 {
			if err := b.Cut(); err != nil {
				t.Fatal(err)
			}
		}
		publish(t, b, message("1", i))
	}
	seen := map[string]bool{}
	for len(seen) < events {
		d := next(t, feed)
		seen[d.Event.ID] = true
		if err := d.Ack(); err != nil {
			t.Log(err) // it comes again
		}
	}
	if n := b.Reconnects(); n != 2 {
		t.Errorf("came back %d times, want 2", n)
	}
}
