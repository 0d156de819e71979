package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAFeedGivesNoMoreThanWasRequested(t *testing.T) {
	b := open(t)
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{
		Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 2, Parked: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	for n := range 10 {
		publish(t, b, message("1", n))
	}
	take := func(from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			if got := next(t, feed).Event.ID; got != message("1", n).ID {
				t.Fatalf("delivery %d is %s", n, got)
			}
		}
	}
	// Nothing waits to be taken: a look is as good as a wait.
	none := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if d, err := feed.Next(ctx); err == nil {
			t.Fatalf("%s was not requested", d.Event.ID)
		}
	}
	take(0, 2)
	none()
	feed.Request(3)
	take(2, 5)
	none()
	feed.Request(100)
	take(5, 10)
	publish(t, b, message("1", 10))
	take(10, 11)
}

func TestWhatWasParkedIsFetchedAsItWasAndSettledAllTheSame(t *testing.T) {
	b := open(t)
	spec := bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 10}
	feed, err := b.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		publish(t, b, message("1", n))
	}
	var list []*bus.Delivery
	for range 3 {
		d := next(t, feed)
		was := fmt.Sprintf("%+v", d.Event)
		d.Park()
		if len(d.Event.Data) != 0 || d.Key() == "" {
			t.Fatalf("parked, it has %+v and the key %q", d.Event, d.Key())
		}
		got, err := d.Fetch(t.Context())
		if err != nil || fmt.Sprintf("%+v", got) != was {
			t.Fatalf("fetched %+v, error %v; want %s", got, err, was)
		}
		list = append(list, d)
	}
	if err := list[0].Hold(); err != nil {
		t.Fatal(err)
	}
	if err := list[0].Ack(); err != nil {
		t.Fatal(err)
	}
	if err := list[1].Dead(t.Context(), "no", 3); err != nil {
		t.Fatal(err)
	}
	var letters []bus.DeadLetter
	for l, err := range b.Dead(t.Context(), bus.DeadFilter{Owner: "p", Account: "7", Conversation: "1"}) {
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, l)
	}
	if len(letters) != 1 || letters[0].ID() != message("1", 1).ID || letters[0].Reason != "no" {
		t.Errorf("dead letters %+v", letters)
	}
	feed.Close()

	feed, err = b.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	if got := next(t, feed).Event.ID; got != message("1", 2).ID {
		t.Errorf("after a restart came %s", got)
	}
}

func TestWhatIsNoLongerStoredIsGone(t *testing.T) {
	b := open(t, func(o *bus.Options) { o.MaxBytes = 64 << 10 })
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	publish(t, b, message("1", 0))
	d := next(t, feed)
	d.Park()
	large := message("2", 0)
	large.Data = fmt.Appendf(nil, `{"content":"%040000d"}`, 0)
	for n := range 4 {
		large.ID = strconv.Itoa(n)
		publish(t, b, large)
	}
	if _, err := d.Fetch(t.Context()); !errors.Is(err, bus.ErrGone) {
		t.Errorf("fetched with error %v", err)
	}
	if err := d.Dead(t.Context(), "no", 1); !errors.Is(err, bus.ErrGone) {
		t.Errorf("buried with error %v", err)
	}
}

func TestAFeedThatIsFarBehindHasItsOwnEventsOnly(t *testing.T) {
	const each = 2500
	b := open(t, func(o *bus.Options) { o.MaxBytes = 64 << 20 })
	mine, typing, foreign := message("1", 0), message("1", 0), message("1", 0)
	typing.Type, foreign.Account = "conversation.updated", "8"
	var list []event.Event
	for n := range each {
		for i, e := range []event.Event{mine, typing, foreign} {
			e.ID, e.Conversation = fmt.Sprint(i, "-", n), strconv.Itoa(n%100)
			list = append(list, e)
		}
	}
	publish(t, b, list...)
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{
		Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"message.*"}, Held: 4 * each,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	var got, want []string
	for n := range each {
		d := next(t, feed)
		got, want = append(got, d.Event.ID), append(want, fmt.Sprint(0, "-", n))
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d events, of which the first are %v", len(got), got[:3])
	}
	foreign.ID, mine.ID = "foreign", "last"
	publish(t, b, foreign, mine)
	if d := next(t, feed); d.Event.ID != "last" {
		t.Errorf("then came %s", d.Event.ID)
	}
}
