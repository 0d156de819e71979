package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/proto/event"
)

func openAgain(t *testing.T, dir string) *Bus {
	t.Helper()
	b, err := Open(t.Context(), Options{
		DataDir: dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func closeAgain(t *testing.T, b *Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func somePage(b *Bus, from, n int) (page []*nats.Msg) {
	for i := range n {
		id := strconv.Itoa(from + i)
		page = append(page, b.subjects.againMessage("p", "f", "7", "1", againKey(id, "x"),
			nats.Header{headerID: {id}, headerType: {string(event.MessageNew)}, headerAccount: {"7"}, headerSubject: {"1"}}, []byte("{}")))
	}
	return page
}

// taken acknowledges n deliveries, from an id on, in order.
func taken(t *testing.T, f *Feed, from, n int) {
	t.Helper()
	for i := range n {
		d, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := strconv.Itoa(from + i); d.Event.ID != want {
			t.Fatalf("%s came, want %s", d.Event.ID, want)
		}
		if err := d.msg.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Wherever the bridge was killed while it wrote a page, what is there of it is
// counted once, even when the plugin has all of that already.
func TestAPageThatWasCutOffIsNotWrittenTwice(t *testing.T) {
	for _, wrote := range []int{0, 3, 10} {
		for _, consumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d of 10 written, consumed %t", wrote, consumed), func(t *testing.T) {
				dir := t.TempDir()
				b := openAgain(t, dir)
				spec := FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 100}
				f, err := b.OpenFeed(t.Context(), spec)
				if err != nil {
					t.Fatal(err)
				}
				record, r := b.subjects.replay("p", "f"), &replayed{ID: "x", To: 100, From: 1}
				if err := b.putPage(t.Context(), record, r, somePage(b, 0, 5), 11); err != nil {
					t.Fatal(err)
				}
				taken(t, f, 0, 5)
				// As putPage does, up to where it is cut off.
				r.Page = &replayedPage{Next: 21, N: 10, Last: 5}
				if err := b.keepReplay(t.Context(), record, r); err != nil {
					t.Fatal(err)
				}
				if wrote > 0 {
					if err := b.writePage(t.Context(), somePage(b, 5, wrote), 5); err != nil {
						t.Fatal(err)
					}
				}
				if consumed {
					taken(t, f, 5, wrote)
				}
				f.Close()
				closeAgain(t, b)

				b = openAgain(t, dir)
				defer closeAgain(t, b)
				// Something else is written first.
				other := somePage(b, 99, 1)[0]
				if err := b.writeAgain(t.Context(), other); err != nil {
					t.Fatal(err)
				}
				got, err := b.replayRecord(t.Context(), record)
				if err != nil {
					t.Fatal(err)
				}
				want := replayed{ID: "x", To: 100, From: 11, Skip: wrote, Taken: uint64(5 + wrote)}
				if wrote == 10 {
					want.From, want.Skip = 21, 0
				}
				if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
					t.Errorf("the record is %+v, want %+v", *got, want)
				}
			})
		}
	}
}

func TestAStreamWithoutBatchesIsWrittenOneByOne(t *testing.T) {
	b := openAgain(t, t.TempDir())
	defer closeAgain(t, b)
	stream, err := b.js.Stream(t.Context(), b.streams.again)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = false
	if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	f, err := b.OpenFeed(t.Context(), FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &replayed{ID: "x", To: 100}
	for from := 0; from < 30; from += 10 {
		if err := b.putPage(t.Context(), b.subjects.replay("p", "f"), r, somePage(b, from, 10), uint64(from+10)); err != nil {
			t.Fatal(err)
		}
	}
	taken(t, f, 0, 30)
}

func TestAFullQueueOfReplaysIsSaidAndGoneOnWith(t *testing.T) {
	b := openAgain(t, t.TempDir())
	defer closeAgain(t, b)
	f, err := b.OpenFeed(t.Context(), FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const events = againMessages + 10
	for i := range events {
		stored := make(chan Publication)
		e := event.Event{ID: strconv.Itoa(i), Type: event.MessageNew, Account: "7", Conversation: "1", Data: []byte("{}")}
		if err := b.Publish(t.Context(), e, func(p Publication) { stored <- p }); err != nil {
			t.Fatal(err)
		}
		if p := <-stored; p.Err != nil {
			t.Fatal(p.Err)
		}
	}
	taken(t, f, 0, events)
	room := func(n int64) {
		stream, err := b.js.Stream(t.Context(), b.streams.again)
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.MaxMsgs = n
		if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	room(againMessages + 5)
	spec := ReplaySpec{ID: "x", Plugin: "p", Since: time.Now().Add(-time.Hour)}
	got, err := b.Replay(t.Context(), spec, func([]ReplayedFeed) error { return nil })
	if !errors.Is(err, ErrReplaysFull) || got[0] != (ReplayedFeed{"f", events, againMessages}) {
		t.Fatalf("%+v, %v", got, err)
	}
	letter := DeadLetter{Sequence: 1, Owner: "p", Feed: "f", Account: "7", Conversation: "1", Headers: nats.Header{headerID: {"d"}, headerType: {"message.new"}}}
	room(againMessages)
	if _, err := b.ReplayDead(t.Context(), letter); !errors.Is(err, ErrReplaysFull) {
		t.Errorf("a dead letter: %v", err)
	}
	taken(t, f, 0, againMessages)
	got, err = b.Replay(t.Context(), spec, func([]ReplayedFeed) error { return nil })
	if err != nil || got[0] != (ReplayedFeed{"f", events, events}) {
		t.Fatalf("gone on with: %+v, %v", got, err)
	}
	taken(t, f, againMessages, 10)
	if info, err := b.js.Stream(t.Context(), b.streams.again); err != nil || info.CachedInfo().State.Msgs != 0 {
		t.Errorf("%+v, %v", info.CachedInfo().State, err)
	}
}

// A feed that is far behind has a consumer that selects all.
func TestAReplaySelectsWhatTheFeedDoesAndNotItsConsumer(t *testing.T) {
	b := openAgain(t, t.TempDir())
	defer closeAgain(t, b)
	selects := b.subjects.stored([]string{"7"}, []event.Pattern{"message.*", "label.added"})
	for _, filter := range [][]string{selects, nil} {
		if _, err := b.eventsConsumer(t.Context(), "p_f", selects, filter, 10); err != nil {
			t.Fatal(err)
		}
		feeds, err := b.feedsOf(t.Context(), "p")
		if err != nil || len(feeds) != 1 || fmt.Sprint(feeds[0].subjects) != fmt.Sprint(selects) {
			t.Errorf("feeds %v, %v; want %v", feeds, err, selects)
		}
	}
}
