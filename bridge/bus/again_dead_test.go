package bus_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func letters(t *testing.T, b *bus.Bus, f bus.DeadFilter) (list []bus.DeadLetter) {
	t.Helper()
	for d, err := range b.Dead(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

func TestADeadLetterOfAPluginComesOnceMoreToItsFeed(t *testing.T) {
	b := open(t)
	spec := everything
	feed := openFeed(t, b, spec)
	defer feed.Close()
	spec.Name = "other"
	other := openFeed(t, b, spec)
	defer other.Close()
	publish(t, b, message("1", 0), message("1", 1), message("2", 0))
	for _, f := range []*bus.Feed{feed, other} {
		for range 3 {
			if err := next(t, f).Dead(t.Context(), "no\nway", 4); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(letters(t, b, bus.DeadFilter{Owner: "p"})); n != 6 {
		t.Fatalf("%d dead letters of two feeds, want 6", n)
	}
	keys := map[string]bool{}
	for range 2 { // by hand, twice: it fails again
		var given []string
		for _, d := range letters(t, b, bus.DeadFilter{Owner: "p", Conversation: "1"}) {
			if d.Feed != "f" {
				continue
			}
			key, err := b.ReplayDead(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			given = append(given, key)
			// Asked for again, as after a lost answer, it is not there twice.
			if again, err := b.ReplayDead(t.Context(), d); err != nil || again != key {
				t.Fatalf("%s, %v; want %s", again, err, key)
			}
		}
		if len(given) != 2 {
			t.Fatalf("replayed %v", given)
		}
		for n, key := range given {
			d := next(t, feed)
			if d.Event.ID != message("1", n).ID || d.Key() != key || !d.Again() || keys[key] || !strings.HasPrefix(key, d.Event.ID+"/again/") {
				t.Errorf("%s came with the key %s; want %s, which came before: %t", d.Event.ID, d.Key(), key, keys[key])
			}
			if string(d.Event.Data) != string(message("1", n).Data) || d.Event.Time.IsZero() {
				t.Errorf("it is another event: %+v", d.Event)
			}
			keys[key] = true
			if err := d.Dead(t.Context(), "no", 1); err != nil {
				t.Fatal(err)
			}
		}
		list := letters(t, b, bus.DeadFilter{Owner: "p"})
		if len(list) != 6 {
			t.Fatalf("%d dead letters, want 6 again", len(list))
		}
		if last := list[5]; last.Feed != "f" || last.Reason != "no" || last.Attempts != 1 || last.ID() != message("1", 1).ID {
			t.Errorf("the latest is %+v", last)
		}
	}
	// No other event came once more.
	publish(t, b, message("3", 0))
	for _, f := range []*bus.Feed{feed, other} {
		if d := next(t, f); d.Event.ID != message("3", 0).ID || d.Again() {
			t.Errorf("%s came, again %t", d.Event.ID, d.Again())
		}
	}
}

func TestWhichFeedADeadLetterGoesTo(t *testing.T) {
	b := open(t)
	feed := openFeed(t, b, everything)
	defer feed.Close()
	publish(t, b, message("1", 0))
	if err := next(t, feed).Dead(t.Context(), "no", 1); err != nil {
		t.Fatal(err)
	}
	letter := letters(t, b, bus.DeadFilter{})[0]
	letter.Owner = "q"
	if _, err := b.ReplayDead(t.Context(), letter); !errors.Is(err, bus.ErrNoFeed) {
		t.Errorf("of a plugin that is not there: %v", err)
	}
	letter.Owner, letter.Feed = "p", "gone"
	if _, err := b.ReplayDead(t.Context(), letter); err != nil {
		t.Errorf("the plugin's only feed: %v", err)
	}
	if d := next(t, feed); d.Event.ID != message("1", 0).ID || !d.Again() {
		t.Errorf("%s came, again %t", d.Event.ID, d.Again())
	}
	second := everything
	second.Name, second.Events = "g", []event.Pattern{"message.*"}
	defer openFeed(t, b, second).Close()
	for _, name := range []string{"gone", ""} {
		letter.Feed = name
		if _, err := b.ReplayDead(t.Context(), letter); !errors.Is(err, bus.ErrNoFeed) || !strings.Contains(err.Error(), "f, g") {
			t.Errorf("feed %q, of several: %v", name, err)
		}
	}
	if left := letters(t, b, bus.DeadFilter{}); slices.ContainsFunc(left, func(d bus.DeadLetter) bool { return d.Sequence == letter.Sequence }) {
		t.Error("the letter that was replayed is still there")
	}
}

// What waits for long is let go of, and read again from where it lies.
func TestAParkedDeliveryThatComesOnceMoreIsReadAgain(t *testing.T) {
	b := open(t)
	feed := openFeed(t, b, everything)
	defer feed.Close()
	other := message("2", 0) // so that the places of the repeats are others
	other.Type = "label.added"
	publish(t, b, other, message("1", 0), message("1", 1))
	done(t, feed, 3)
	spec := again("x")
	spec.Types = []event.Pattern{"message.*"}
	replay(t, b, spec)
	next(t, feed)
	d := next(t, feed)
	d.Park()
	if e, err := d.Fetch(t.Context()); err != nil || e.ID != message("1", 1).ID || e.Conversation != "1" {
		t.Errorf("%+v, %v", e, err)
	}
	if d.Key() != message("1", 1).ID+"/again/x" || !d.Again() {
		t.Errorf("parked, its key is %q", d.Key())
	}
	if err := d.Dead(t.Context(), "no", 2); err != nil {
		t.Fatal(err)
	}
	if list := letters(t, b, bus.DeadFilter{}); len(list) != 1 || list[0].ID() != message("1", 1).ID || list[0].Feed != "f" {
		t.Errorf("dead letters %+v", list)
	}
}
