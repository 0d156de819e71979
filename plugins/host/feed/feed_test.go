package feed_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// enough is a schedule for those who do not mind.
var enough = slices.Repeat([]time.Duration{time.Second}, 10)

// Whatever a handler answers, an event of a conversation is not begun before
// the one before it has come to its end, and every event comes to one.
func TestOrderPerConversationHoldsWhateverHappens(t *testing.T) {
	const conversations, each = 8, 25
	for seed := range uint64(5) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				var mu sync.Mutex
				random := rand.New(rand.NewPCG(seed, 0))
				roll := func() (answer int, work time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					return random.IntN(10), time.Duration(random.IntN(5)) * time.Millisecond
				}
				busy, done := map[string]bool{}, map[string]int{}
				run(t, w, func(d *pluginv1.Delivery) result {
					conversation, number, _ := strings.Cut(d.GetEvent().GetId(), "-")
					n, _ := strconv.Atoi(number)
					mu.Lock()
					if busy[conversation] {
						t.Errorf("%s begun while one of its conversation is under way", d.GetEvent().GetId())
					}
					if n != done[conversation]+1 {
						t.Errorf("%s begun when %d of its conversation were done", d.GetEvent().GetId(), done[conversation])
					}
					busy[conversation] = true
					mu.Unlock()
					answer, work := roll()
					time.Sleep(work)
					mu.Lock()
					defer mu.Unlock()
					busy[conversation] = false
					switch {
					case answer == 0:
						return retry("it is down")
					case answer == 1:
						return retryAfter(30*time.Second, "it is down")
					case answer == 2:
						return pause(10*time.Second, "it is down")
					case answer == 3:
						return func(*pluginv1.Outcome) {} // an outcome without a result
					case answer == 4:
						done[conversation]++
						return reject("it is down")
					}
					done[conversation]++
					return ack
				}, feed.Options{Window: 5, Retries: slices.Repeat([]time.Duration{time.Second}, 1000)})
				for n := range each {
					for c := range conversations {
						w.publish(message(strconv.Itoa(c), n+1))
					}
				}
				w.done(t, conversations*each)
			})
		})
	}
}

func TestARetryHoldsUpItsConversationAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if seen.add(d); d.GetEvent().GetId() == "a-1" && d.GetAttempt() == 1 {
				return retryAfter(time.Hour, "it is down")
			}
			return ack
		}, feed.Options{Window: 1, Retries: enough})
		w.publish(message("a", 1), message("a", 2), message("b", 1), message("b", 2))
		w.done(t, 4)
		if want := []string{"a-1", "b-1", "b-2", "a-1", "a-2"}; !slices.Equal(seen.ids(), want) {
			t.Errorf("handled %v, want %v", seen.ids(), want)
		}
	})
}

func TestRetriesFollowTheScheduleThenTheEventIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		schedule := []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}
		var seen visits
		r := run(t, w, func(d *pluginv1.Delivery) result {
			if seen.add(d); d.GetEvent().GetId() == "a-1" {
				return retry("no")
			}
			return ack
		}, feed.Options{Retries: schedule})
		w.publish(message("a", 1), message("a", 2))
		w.done(t, 2)

		got := seen.waits("a-1")
		if len(got) != len(schedule) || slices.Equal(got, schedule) {
			t.Errorf("waits %v, want about %v", got, schedule)
		}
		for i, d := range got {
			if d < schedule[i]*8/10 || d > schedule[i]*12/10 {
				t.Errorf("waits %v, want %v give or take a fifth", got, schedule)
			}
		}
		for i, v := range seen.of("a-1") {
			if v.attempt != i+1 {
				t.Errorf("attempt %d was called %d", i+1, v.attempt)
			}
		}
		if got := w.deadLetters(); len(got) != 1 || got[0] != (dead{"a-1", "no", len(schedule) + 1}) {
			t.Errorf("dead letters %+v", got)
		}
		if got := w.ackedIDs(); !slices.Equal(got, []string{"a-2"}) {
			t.Errorf("acknowledged %v beside the dead letter", got)
		}
		synctest.Wait()
		status := r.status()
		if status.Dead != 1 || status.Retried != uint64(len(schedule)) || status.Acked != 1 || status.LastError != "no" {
			t.Errorf("status %+v", status)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		waits := []time.Duration{7 * time.Minute, 0, time.Second}
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); n < len(waits) {
				return retryAfter(waits[n], "it is down")
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1))
		w.done(t, 1)
		if got := seen.waits("a-1"); !slices.Equal(got, waits) {
			t.Errorf("waits %v, want %v", got, waits)
		}
	})
}

func TestAPauseHoldsTheFeedAndIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		r := run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); d.GetEvent().GetId() == "a-1" && n < 5 {
				return pause(10*time.Minute, "it is down")
			}
			return ack
		}, feed.Options{Retries: enough})
		began := time.Now()
		w.publish(message("a", 1))
		synctest.Wait()
		if got, want := r.status().PausedUntil, began.Add(10*time.Minute); got == nil || !got.Equal(want) {
			t.Errorf("paused until %s, want %s", got, want)
		}
		w.publish(message("b", 1), message("a", 2))
		w.done(t, 3)

		for _, v := range seen.all() {
			if v.attempt != 1 {
				t.Errorf("%s is attempt %d: a pause was counted", v.id, v.attempt)
			}
		}
		if got := seen.waits("a-1"); !slices.Equal(got, slices.Repeat([]time.Duration{10 * time.Minute}, 5)) {
			t.Errorf("pauses %v", got)
		}
		for id, after := range map[string]time.Duration{"b-1": 10 * time.Minute, "a-2": 50 * time.Minute} {
			if v := seen.of(id); len(v) != 1 || v[0].at.Sub(began) != after {
				t.Errorf("%s handled at %v, want once, %s after %s", id, v, after, began)
			}
		}
		if r.status().PausedUntil != nil {
			t.Error("the pause does not end in the status")
		}
	})
}

func TestOfTwoPausesTheLaterEndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		holds := map[string]time.Duration{"a-1": 10 * time.Second, "b-1": time.Minute, "c-1": time.Second, "d-1": 0}
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); n == 0 {
				time.Sleep(time.Second) // until all are inside
				return pause(holds[d.GetEvent().GetId()], "it is down")
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1), message("b", 1), message("c", 1), message("d", 1))
		w.done(t, 4)
		for id := range holds {
			if got := seen.waits(id); !slices.Equal(got, []time.Duration{time.Second + time.Minute}) {
				t.Errorf("%s came again after %v", id, got)
			}
		}
	})
}

func TestAPauseForNoTimeDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); n < 3 {
				return pause(0, "it is down")
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1))
		w.done(t, 1)
		if got := seen.waits("a-1"); slices.Min(got) < 50*time.Millisecond {
			t.Errorf("came again after %v", got)
		}
	})
}

func TestARejectedEventIsADeadLetterAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if seen.add(d); d.GetEvent().GetId() == "a-1" {
				return reject("not for me")
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1), message("a", 2))
		w.done(t, 2)
		if got := w.deadLetters(); len(got) != 1 || got[0] != (dead{"a-1", "not for me", 1}) {
			t.Errorf("dead letters %+v", got)
		}
		if want := []string{"a-1", "a-2"}; !slices.Equal(seen.ids(), want) {
			t.Errorf("handled %v, want %v", seen.ids(), want)
		}
	})
}

func TestNothingIsAcknowledgedBeforeItsDeadLetterIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		failures := 0
		w.bury = func(event.Event) error {
			if failures++; failures <= 3 {
				return errDown
			}
			return nil
		}
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if seen.add(d); d.GetEvent().GetConversation() == "a" && d.GetEvent().GetId() == "a-1" {
				return reject("no")
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1), message("a", 2), message("b", 1))
		w.until(t, "a failed dead letter", func() bool { return failures == 3 })
		if got := w.ackedIDs(); !slices.Equal(got, []string{"b-1"}) {
			t.Errorf("acknowledged %v while the dead letter is not stored", got)
		}
		if len(seen.of("a-2")) != 0 {
			t.Error("a-2 overtook a-1, which is nowhere yet")
		}
		w.done(t, 3)
		if got := w.deadLetters(); len(got) != 1 || got[0].id != "a-1" {
			t.Errorf("dead letters %+v", got)
		}
	})
}

func TestTheWindowIsFullAndNeverMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var mu sync.Mutex
		inside, most := 0, 0
		r := run(t, w, func(*pluginv1.Delivery) result {
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			inside--
			mu.Unlock()
			return ack
		}, feed.Options{Window: 4, Held: 32, Parked: 32})
		for c := range 100 {
			w.publish(message(strconv.Itoa(c), 1))
		}
		synctest.Wait()
		if held := r.status().Held; held != 32 {
			t.Errorf("%d events held, want 32", held)
		}
		w.done(t, 100)
		if most != 4 {
			t.Errorf("%d at once, want 4", most)
		}
	})
}

func TestAnEventThatComesAgainWhileItIsHeldIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if seen.add(d); d.GetEvent().GetId() == "a-1" {
				time.Sleep(25 * time.Second)
			}
			return ack
		}, feed.Options{Retries: enough})
		w.publish(message("a", 1), message("a", 2))
		synctest.Wait()
		w.redeliver(0) // inside the plugin
		w.redeliver(1) // waiting for its turn
		w.done(t, 2)
		if want := []string{"a-1", "a-2"}; !slices.Equal(seen.ids(), want) {
			t.Errorf("handled %v, want %v", seen.ids(), want)
		}
		for _, a := range w.acks {
			if a.delivery != 2 {
				t.Errorf("%s: delivery %d was acknowledged, not the latest", a.id, a.delivery)
			}
		}
		if w.holds[0] != 2 || w.holds[1] != 2 {
			t.Errorf("in 25 s, held %v times; want 2 each", w.holds)
		}
	})
}

func TestOwnEchoes(t *testing.T) {
	mine, others, told := message("a", 1), message("a", 2), message("a", 3)
	mine.By, others.By = "tester", "another"
	told.By, told.Type = "tester", event.ActionConfirmed
	tests := []struct {
		name string
		want bool
		seen []string
	}{
		{"are acknowledged and not delivered", false, []string{"a-2", "a-3"}},
		{"are delivered where the feed asks", true, []string{"a-1", "a-2", "a-3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				var seen visits
				r := run(t, w, func(d *pluginv1.Delivery) result { seen.add(d); return ack },
					feed.Options{OwnEchoes: tt.want})
				w.publish(mine, others, told)
				w.done(t, 3)
				if !slices.Equal(seen.ids(), tt.seen) {
					t.Errorf("handled %v, want %v", seen.ids(), tt.seen)
				}
				if got := r.stats.Echoes(); got != uint64(3-len(tt.seen)) {
					t.Errorf("%d echoes counted", got)
				}
			})
		})
	}
}
