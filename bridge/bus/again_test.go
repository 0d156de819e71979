package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// everything is a feed of all that account 7 has.
var everything = bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 4096}

func openFeed(t *testing.T, b *bus.Bus, spec bus.FeedSpec) *bus.Feed {
	t.Helper()
	f, err := b.OpenFeed(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// done acknowledges the next n deliveries.
func done(t *testing.T, f *bus.Feed, n int) {
	t.Helper()
	for range n {
		if err := next(t, f).Ack(); err != nil {
			t.Fatal(err)
		}
	}
}

// waiting is how many messages a stream has.
func waiting(t *testing.T, b *bus.Bus, stream string) uint64 {
	t.Helper()
	guest, err := nats.Connect(b.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	js, err := jetstream.New(guest)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// left waits until the server knows that so many are left to be delivered once
// more.
func left(t *testing.T, b *bus.Bus, want uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		if got := waiting(t, b, "TEST_AGAIN"); got == want {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("%d are left, want %d", got, want)
		}
	}
}

// again is a replay of all that is stored, for that plugin.
func again(id string) bus.ReplaySpec {
	return bus.ReplaySpec{ID: id, Plugin: "p", Since: time.Now().Add(-time.Hour)}
}

func quietly([]bus.ReplayedFeed) error { return nil }

func replay(t *testing.T, b *bus.Bus, spec bus.ReplaySpec) []bus.ReplayedFeed {
	t.Helper()
	feeds, err := b.Replay(t.Context(), spec, quietly)
	if err != nil {
		t.Fatal(err)
	}
	return feeds
}

// repeats checks deliveries that come once more: each once, in order per
// conversation.
type repeats struct {
	key  string // what their keys end in
	last map[string]int
	n    int
}

func (r *repeats) take(t *testing.T, d *bus.Delivery) {
	t.Helper()
	n, err := strconv.Atoi(d.Event.ID[strings.LastIndex(d.Event.ID, "-")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if want := r.last[d.Event.Conversation]; n != want {
		t.Fatalf("%s came once more when %d was to come", d.Event.ID, want)
	}
	r.last[d.Event.Conversation] = n + 1
	r.n++
	if want := d.Event.ID + "/again/" + r.key; d.Key() != want || !d.Again() || d.Sequence()>>63 != 1 {
		t.Errorf("key %q, again %t, sequence %x; want %q", d.Key(), d.Again(), d.Sequence(), want)
	}
}

func TestAReplayComesOnceInOrderBesideWhatIsNewAndOverARestart(t *testing.T) {
	const conversations, each, fresh = 50, 20, 400
	dir := t.TempDir()
	start := func() *bus.Bus {
		return open(t, func(o *bus.Options) { o.DataDir, o.Listen = dir, "127.0.0.1:0" })
	}
	b := start()
	feed := openFeed(t, b, everything)
	for n := range each {
		for c := range conversations {
			publish(t, b, message(strconv.Itoa(c), n))
		}
	}
	done(t, feed, conversations*each)

	if got, want := replay(t, b, again("x")), (bus.ReplayedFeed{Feed: "f", Events: 1000, Taken: 1000}); len(got) != 1 || got[0] != want {
		t.Fatalf("replayed %+v", got)
	}
	seen, live := repeats{"x", map[string]int{}, 0}, map[string]bool{}
	take := func(more func() bool) {
		for more() {
			d := next(t, feed)
			if d.Again() {
				seen.take(t, d)
			} else {
				if d.Key() != d.Event.ID || live[d.Event.ID] {
					t.Fatalf("%s came with the key %s, before: %t", d.Event.ID, d.Key(), live[d.Event.ID])
				}
				live[d.Event.ID] = true
			}
			if err := d.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	publishing := func(from, to int) func() {
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := from; n < to; n++ {
				publish(t, b, message(strconv.Itoa(n%conversations), each+n))
			}
		})
		return wg.Wait
	}
	wait := publishing(0, fresh/2)
	take(func() bool { return seen.n < 500 })
	wait()
	left(t, b, uint64(1000-seen.n))
	for range 30 { // under way when the bridge ends
		next(t, feed)
	}
	feed.Close()
	closeBus(t, b)

	b = start()
	feed = openFeed(t, b, everything)
	defer feed.Close()
	wait = publishing(fresh/2, fresh)
	take(func() bool { return seen.n < 1000 || len(live) < fresh })
	wait()
	left(t, b, 0)
	if seen.n != 1000 || len(live) != fresh {
		t.Errorf("%d came once more, and %d new ones", seen.n, len(live))
	}
}

func TestAReplayGoesOnWhereItWasCutOff(t *testing.T) {
	const events = 1700
	dir := t.TempDir()
	start := func() *bus.Bus {
		return open(t, func(o *bus.Options) { o.DataDir, o.Listen = dir, "127.0.0.1:0" })
	}
	b := start()
	feed := openFeed(t, b, everything)
	list := make([]event.Event, events)
	for n := range list {
		list[n] = message("1", n)
	}
	publish(t, b, list...)
	done(t, feed, events)

	seen := repeats{"x", map[string]int{}, 0}
	spec, off := again("x"), errors.New("cut off")
	for round := 0; ; round++ {
		calls := 0
		got, err := b.Replay(t.Context(), spec, func(f []bus.ReplayedFeed) error {
			if f[0].Events != events {
				t.Errorf("%d events, want %d", f[0].Events, events)
			}
			if calls++; calls == 2 { // after one page
				return off
			}
			return nil
		})
		taken := int(got[0].Taken)
		for seen.n < taken { // the plugin is quick
			d := next(t, feed)
			seen.take(t, d)
			if err := d.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		left(t, b, 0)
		if err == nil {
			break
		}
		if !errors.Is(err, off) || round > 10 {
			t.Fatalf("round %d: %v", round, err)
		}
		publish(t, b, message("2", round)) // it is no part of what was asked for
		done(t, feed, 1)
		feed.Close()
		closeBus(t, b)
		b = start()
		feed = openFeed(t, b, everything)
		spec.Resume = true
	}
	feed.Close()
	if seen.n != events {
		t.Errorf("%d came once more, want %d", seen.n, events)
	}
	if got := replay(t, b, spec); got[0].Taken != events || waiting(t, b, "TEST_AGAIN") != 0 {
		t.Errorf("asked for again, %+v", got)
	}
	spec.Conversation = "1"
	if _, err := b.Replay(t.Context(), spec, quietly); !errors.Is(err, bus.ErrReplay) {
		t.Errorf("of another conversation under the same id: %v", err)
	}
	spec.ID = "y"
	if _, err := b.Replay(t.Context(), spec, quietly); !errors.Is(err, bus.ErrReplay) {
		t.Errorf("going on with what never was: %v", err)
	}
}

func TestWhatAReplaySelects(t *testing.T) {
	b := open(t, func(o *bus.Options) { o.Listen = "127.0.0.1:0" })
	news := everything
	news.Name, news.Events, news.Accounts = "news", []event.Pattern{"message.*", "label.*"}, []string{"7", "8"}
	for _, spec := range []bus.FeedSpec{everything, news, {Owner: "p-2", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 10}} {
		defer openFeed(t, b, spec).Close()
	}
	of := func(id, account, conversation string, kind event.Type) event.Event {
		e := message(conversation, 0)
		e.ID, e.Account, e.Type = id, account, kind
		return e
	}
	publish(t, b, of("a", "7", "1", "message.new"))
	publish(t, b, of("b", "7", "a.b", "message.updated"))
	publish(t, b, of("c", "7", "1", "conversation.new"))
	publish(t, b, of("d", "8", "1", "message.new"))
	half := time.Now()
	publish(t, b, of("e", "7", "1", "label.added"))
	tests := []struct {
		name   string
		change func(*bus.ReplaySpec)
		f      uint64
		news   uint64
	}{
		{"all that its feeds select", func(*bus.ReplaySpec) {}, 4, 4},
		{"an account", func(s *bus.ReplaySpec) { s.Account = "8" }, 0, 1},
		{"a conversation", func(s *bus.ReplaySpec) { s.Account, s.Conversation = "7", "a.b" }, 1, 1},
		{"types", func(s *bus.ReplaySpec) { s.Types = []event.Pattern{"message.*", "conversation.new"} }, 3, 3},
		{"before", func(s *bus.ReplaySpec) { s.Until = half }, 3, 3},
		{"after", func(s *bus.ReplaySpec) { s.Since = half }, 1, 1},
		{"the future", func(s *bus.ReplaySpec) { s.Since = time.Now().Add(time.Hour) }, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := again(strings.ReplaceAll(tt.name, " ", "-"))
			tt.change(&spec)
			for _, dry := range []bool{true, false} {
				spec.DryRun = dry
				taken := func(n uint64) uint64 {
					if dry {
						return 0
					}
					return n
				}
				want := []bus.ReplayedFeed{{Feed: "f", Events: tt.f, Taken: taken(tt.f)}, {Feed: "news", Events: tt.news, Taken: taken(tt.news)}}
				if got := replay(t, b, spec); !slices.Equal(got, want) {
					t.Errorf("dry %t: %+v, want %+v", dry, got, want)
				}
				if got := waiting(t, b, "TEST_AGAIN"); got != taken(tt.f+tt.news) {
					t.Errorf("dry %t: %d are in the queue", dry, got)
				}
			}
			want := []bus.WaitingFeed{{Feed: "f", Waiting: tt.f}, {Feed: "news", Waiting: tt.news}}
			want = slices.DeleteFunc(want, func(w bus.WaitingFeed) bool { return w.Waiting == 0 })
			for _, look := range []func(context.Context, string, string, string, string) ([]bus.WaitingFeed, error){b.WaitingReplays, b.DropReplay} {
				if got, err := look(t.Context(), "p", "", "", ""); err != nil || !slices.Equal(got, want) {
					t.Errorf("waiting %+v, %v; want %+v", got, err, want)
				}
			}
			if got, err := b.WaitingReplays(t.Context(), "p", "", "", ""); err != nil || len(got) != 0 {
				t.Errorf("after that was dropped, %+v, %v", got, err)
			}
		})
	}
	one := again("one")
	one.Feed = "news"
	if got := replay(t, b, one); len(got) != 1 || got[0].Feed != "news" {
		t.Errorf("of one feed: %+v", got)
	}
	for _, change := range []func(*bus.ReplaySpec){func(s *bus.ReplaySpec) { s.Plugin = "q" }, func(s *bus.ReplaySpec) { s.Feed = "g" }} {
		spec := again("none")
		change(&spec)
		if _, err := b.Replay(t.Context(), spec, quietly); !errors.Is(err, bus.ErrNoFeed) {
			t.Errorf("err = %v", err)
		}
	}
}

func TestWhatIsNotGrantedAnyMoreDoesNotComeOnceMore(t *testing.T) {
	b := open(t)
	spec := everything
	spec.Accounts = []string{"7", "8"}
	feed := openFeed(t, b, spec)
	other, typed := message("1", 0), message("1", 2)
	other.ID, other.Account = "other", "8"
	typed.Type = "label.added"
	publish(t, b, other)
	publish(t, b, typed)
	publish(t, b, message("1", 1))
	done(t, feed, 3)
	feed.Close()
	replay(t, b, again("x"))

	spec.Accounts, spec.Events = []string{"7"}, []event.Pattern{"message.*"}
	feed = openFeed(t, b, spec)
	defer feed.Close()
	if d := next(t, feed); d.Event.ID != message("1", 1).ID || !d.Again() {
		t.Errorf("%s came", d.Event.ID)
	}
	var dead []string
	for d, err := range b.Dead(t.Context(), bus.DeadFilter{Owner: "p"}) {
		if err != nil {
			t.Fatal(err)
		}
		dead = append(dead, fmt.Sprint(d.ID(), " ", d.Feed, " ", strings.Contains(d.Reason, "any more")))
	}
	if want := []string{"other f true", typed.ID + " f true"}; !slices.Equal(dead, want) {
		t.Errorf("dead letters %v, want %v", dead, want)
	}
}

func TestWhatIsTakenForAReplaySurvivesAPowerCut(t *testing.T) {
	const events = 600
	dir := t.TempDir()
	first := open(t, func(o *bus.Options) { o.DataDir = dir })
	feed := openFeed(t, first, everything)
	for n := range events {
		publish(t, first, message(strconv.Itoa(n%3), n/3))
	}
	done(t, feed, events)
	replay(t, first, again("x"))
	copied := cutPower(t, dir, 3000)
	feed.Close()

	second := open(t, func(o *bus.Options) { o.DataDir, o.Listen = copied, "127.0.0.1:0" })
	feed = openFeed(t, second, everything)
	defer feed.Close()
	seen := repeats{"x", map[string]int{}, 0}
	for seen.n < events {
		d := next(t, feed)
		if d.Again() {
			seen.take(t, d)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	left(t, second, 0)
}
