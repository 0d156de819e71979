package feed_test

import (
	"errors"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// However much waits behind a retry, nobody else waits with it, and little of
// it is in memory. When the retry is over, all comes in order.
func TestManyBehindARetryMakeNobodyElseLate(t *testing.T) {
	const many = 10_000
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		down := true
		var seen visits
		r := run(t, w, func(d *pluginv1.Delivery) result {
			if d.GetEvent().GetConversation() != "a" {
				seen.add(d)
				return ack
			}
			if down {
				return retryAfter(time.Hour, "it is down")
			}
			return ack
		}, feed.Options{Retries: enough})
		large := make([]byte, 10_000)
		for n := range many {
			e := message("a", n+1)
			e.Data = large
			w.publish(e)
			if n%1000 == 999 {
				w.publish(message("b"+strconv.Itoa(n), 1))
			}
		}
		began := time.Now()
		w.until(t, "the others", func() bool { return len(w.acks) == 10 })
		if late := time.Since(began); late != 0 {
			t.Errorf("the others waited %s", late)
		}
		synctest.Wait()
		if got := r.status().Held; got != many {
			t.Errorf("%d held, want %d", got, many)
		}
		w.change(func() { down = false })
		w.done(t, many+10)
		var ids []string
		for _, id := range w.ackedIDs() {
			if id[0] == 'a' {
				ids = append(ids, id)
			}
		}
		for i, id := range ids {
			if id != "a-"+strconv.Itoa(i+1) {
				t.Fatalf("acknowledgement %d is of %s", i+1, id)
			}
		}
		if w.fetches < many-feed.LaneLoaded-1 {
			t.Errorf("%d were fetched again: the others were kept in memory", w.fetches)
		}
	})
}

// What waits is not in memory: 20,000 events of 10 kB would be 200 MB.
func TestWhatIsParkedIsSmall(t *testing.T) {
	const many = 20_000
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.made = func(e event.Event) event.Event {
			e.Data = make([]byte, 10_000)
			return e
		}
		r := run(t, w, func(*pluginv1.Delivery) result { return retryAfter(time.Hour, "it is down") }, feed.Options{Retries: enough})
		for n := range many {
			w.publish(message("a", n+1))
		}
		w.until(t, "all taken", func() bool { return len(w.out) == many })
		synctest.Wait()
		if got := r.status().Held; got != many {
			t.Fatalf("%d held, want %d", got, many)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 80<<20 {
			t.Errorf("%d MiB in use", m.HeapAlloc>>20)
		}
	})
}

// An endpoint that is down for all conversations fills up to the cap, and no
// further.
func TestNoMoreThanTheCapIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		down := true
		r := run(t, w, func(*pluginv1.Delivery) result {
			if down {
				return retryAfter(time.Minute, "it is down")
			}
			return ack
		}, feed.Options{Retries: slices.Repeat(enough, 10), Held: 20, Parked: 100})
		for n := range 300 {
			w.publish(message(strconv.Itoa(n%150), n))
		}
		synctest.Wait()
		if got := r.status().Held; got > 100 || got < 95 || len(w.out) != int(got) {
			t.Errorf("%d held, %d out; want 100, or a few less where it is not worth asking", got, len(w.out))
		}
		w.change(func() { down = false })
		w.done(t, 300)
	})
}

func TestNoMoreThanHeldAreInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := run(t, w, func(*pluginv1.Delivery) result { time.Sleep(time.Minute); return ack },
			feed.Options{Window: 4, Held: 32})
		for n := range 100 {
			w.publish(message(strconv.Itoa(n), 1))
		}
		synctest.Wait()
		if got := r.status().Held; got != 32 {
			t.Errorf("%d held, want 32", got)
		}
		w.done(t, 100)
		if w.fetches != 0 {
			t.Errorf("%d fetched again that waited for nothing but their turn", w.fetches)
		}
	})
}

func TestWhatCannotBeFetchedIsTriedAgainAndWhatIsGoneIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		failures := 0
		w.fetch = func(e event.Event) error {
			switch {
			case e.ID == "a-1" && failures < 3:
				failures++
				return errDown
			case e.ID == "b-1":
				return feed.ErrGone
			}
			return nil
		}
		var seen visits
		r := run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); n == 0 {
				return retry("no")
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1), message("a", 2), message("b", 1))
		w.done(t, 3)
		if got := seen.ids(); failures != 3 || !slices.Equal(got, []string{"a-1", "b-1", "a-1", "a-2", "a-2"}) && !slices.Equal(got, []string{"b-1", "a-1", "a-1", "a-2", "a-2"}) {
			t.Errorf("%d failures, handled %v", failures, got)
		}
		synctest.Wait()
		if s := r.status(); s.Dead != 1 || s.Acked != 2 || s.Held != 0 {
			t.Errorf("status %+v", s)
		}
		for _, v := range seen.of("a-1")[1:] {
			if v.attempt != 2 {
				t.Errorf("attempt %d: what could not be fetched was counted", v.attempt)
			}
		}
	})
}

func TestAFeedEndsWhileOneIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		fetching := make(chan struct{})
		w.blockFetch = fetching
		r := run(t, w, func(*pluginv1.Delivery) result { return retryAfter(0, "no") }, feed.Options{Retries: enough})
		w.publish(message("a", 1))
		<-fetching
		if err := r.stop(); !errors.Is(err, errStopped) {
			t.Error(err)
		}
	})
}
