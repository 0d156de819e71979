package host_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Whatever a handler answers, an event of a conversation is not begun before
// the one before it has come to its end, and every event comes to one.
func TestOrderPerConversationHoldsWhateverHappens(t *testing.T) {
	const conversations, each = 8, 25
	for seed := range uint64(5) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				var mu sync.Mutex
				random := rand.New(rand.NewPCG(seed, 0))
				roll := func() (answer int, work time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					return random.IntN(10), time.Duration(random.IntN(5)) * time.Millisecond
				}
				busy, done := map[string]bool{}, map[string]int{}
				run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
					conversation, number, _ := strings.Cut(d.Event.ID, "-")
					n, _ := strconv.Atoi(number)
					mu.Lock()
					if busy[conversation] {
						t.Errorf("%s begun while one of its conversation is under way", d.Event.ID)
					}
					if n != done[conversation]+1 {
						t.Errorf("%s begun when %d of its conversation were done", d.Event.ID, done[conversation])
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
						return errDown
					case answer == 1:
						return sdk.RetryAfter(30*time.Second, errDown)
					case answer == 2:
						return sdk.Pause(10*time.Second, errDown)
					case answer == 3:
						panic("on purpose")
					case answer == 4:
						done[conversation]++
						return sdk.Reject(errDown)
					}
					done[conversation]++
					return nil
				}), granted(), host.Limits{Window: 5, Held: 40, Retries: slices.Repeat([]time.Duration{time.Second}, 1000)})
				for n := range each {
					for c := range conversations {
						w.publish(message(strconv.Itoa(c), n+1))
					}
				}
				w.acked(t, defaultFeed, conversations*each)
			})
		})
	}
}

func TestARetryHoldsUpItsConversationAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if seen.add(d); d.Event.ID == "a-1" && d.Attempt == 1 {
				return sdk.RetryAfter(time.Hour, errDown)
			}
			return nil
		}), granted(), host.Limits{Window: 1})
		w.publish(message("a", 1), message("a", 2), message("b", 1), message("b", 2))
		w.acked(t, defaultFeed, 4)
		if want := []string{"a-1", "b-1", "b-2", "a-1", "a-2"}; !slices.Equal(seen.ids(), want) {
			t.Errorf("handled %v, want %v", seen.ids(), want)
		}
	})
}

func TestRetriesFollowTheScheduleThenTheEventIsDead(t *testing.T) {
	schedule := []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}
	tests := []struct {
		name   string
		feed   []time.Duration
		limits []time.Duration
		want   []time.Duration
	}{
		{"the host's", nil, schedule, schedule},
		{"the feed's own", []time.Duration{time.Minute}, schedule, []time.Duration{time.Minute}},
		{"the default", nil, nil, []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute,
			10 * time.Minute, 30 * time.Minute, time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				var seen visits
				r := run(t, w, withFeeds(sdk.Feed{Retries: tt.feed, Handlers: sdk.Handlers{
					OnEvent: func(_ context.Context, d *sdk.Delivery) error {
						if seen.add(d); d.Event.ID == "a-1" {
							return errors.New("no")
						}
						return nil
					},
				}}), granted(), host.Limits{Retries: tt.limits})
				w.publish(message("a", 1), message("a", 2))
				w.acked(t, defaultFeed, 2)

				if got := seen.waits("a-1"); !slices.Equal(got, tt.want) {
					t.Errorf("waits %v, want %v", got, tt.want)
				}
				for i, v := range seen.of("a-1") {
					if v.attempt != i+1 {
						t.Errorf("attempt %d was called %d", i+1, v.attempt)
					}
				}
				if got := w.deadLetters(); len(got) != 1 || got[0] != (dead{defaultFeed, "a-1", "no", len(tt.want) + 1}) {
					t.Errorf("dead letters %+v", got)
				}
				if got := w.ackedIDs(defaultFeed); !slices.Equal(got, []string{"a-2"}) {
					t.Errorf("acknowledged %v beside the dead letter", got)
				}
				synctest.Wait()
				status := r.feed()
				if status.Dead != 1 || status.Retried != uint64(len(tt.want)) || status.Acked != 1 || status.LastError != "no" {
					t.Errorf("status %+v", status)
				}
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		waits := []time.Duration{7 * time.Minute, 0, time.Second}
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if n := seen.add(d); n < len(waits) {
				return sdk.RetryAfter(waits[n], errDown)
			}
			return nil
		}), granted(), host.Limits{})
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		if got := seen.waits("a-1"); !slices.Equal(got, waits) {
			t.Errorf("waits %v, want %v", got, waits)
		}
	})
}

func TestAPauseHoldsItsFeedAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var paused, other visits
		r := run(t, w, withFeeds(
			sdk.Feed{Name: "paused", Retries: []time.Duration{time.Second}, Handlers: sdk.Handlers{
				OnEvent: func(_ context.Context, d *sdk.Delivery) error {
					if n := paused.add(d); d.Event.ID == "a-1" && n < 5 {
						return sdk.Pause(10*time.Minute, errDown)
					}
					return nil
				},
			}},
			sdk.Feed{Name: "other", Handlers: sdk.Handlers{
				OnEvent: func(_ context.Context, d *sdk.Delivery) error { other.add(d); return nil },
			}},
		), granted(), host.Limits{})
		began := time.Now()
		w.publish(message("a", 1))
		synctest.Wait()
		if got, want := pausedUntil(r), began.Add(10*time.Minute); got == nil || !got.Equal(want) {
			t.Errorf("paused until %s, want %s", got, want)
		}
		w.publish(message("b", 1), message("a", 2))
		w.acked(t, "tester/other", 3)
		if time.Since(began) != 0 {
			t.Errorf("the other feed waited %s", time.Since(began))
		}
		w.acked(t, "tester/paused", 3)

		for _, v := range paused.all() {
			if v.attempt != 1 {
				t.Errorf("%s is attempt %d: a pause was counted", v.id, v.attempt)
			}
		}
		if got := paused.waits("a-1"); !slices.Equal(got, slices.Repeat([]time.Duration{10 * time.Minute}, 5)) {
			t.Errorf("pauses %v", got)
		}
		for id, after := range map[string]time.Duration{"b-1": 10 * time.Minute, "a-2": 50 * time.Minute} {
			if v := paused.of(id); len(v) != 1 || v[0].at.Sub(began) != after {
				t.Errorf("%s handled at %v, want once, %s after %s", id, v, after, began)
			}
		}
		if pausedUntil(r) != nil {
			t.Error("the pause does not end in the status")
		}
	})
}

func pausedUntil(r *running) *time.Time { return r.feed().PausedUntil }

func TestOfTwoPausesTheLaterEndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		holds := map[string]time.Duration{"a-1": 10 * time.Second, "b-1": time.Minute, "c-1": time.Second, "d-1": 0}
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if n := seen.add(d); n == 0 {
				time.Sleep(time.Second) // until all are inside
				return sdk.Pause(holds[d.Event.ID], errDown)
			}
			return nil
		}), granted(), host.Limits{})
		w.publish(message("a", 1), message("b", 1), message("c", 1), message("d", 1))
		w.acked(t, defaultFeed, 4)
		for id := range holds {
			if got := seen.waits(id); !slices.Equal(got, []time.Duration{time.Second + time.Minute}) {
				t.Errorf("%s came again after %v", id, got)
			}
		}
	})
}

func TestAPauseForNoTimeDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if n := seen.add(d); n < 3 {
				return sdk.Pause(0, errDown)
			}
			return nil
		}), granted(), host.Limits{})
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		if got := seen.waits("a-1"); slices.Min(got) < 50*time.Millisecond {
			t.Errorf("came again after %v", got)
		}
	})
}

func TestARejectedEventIsADeadLetterAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if seen.add(d); d.Event.ID == "a-1" {
				return sdk.Reject(errors.New("not for me"))
			}
			return nil
		}), granted(), host.Limits{})
		w.publish(message("a", 1), message("a", 2))
		w.acked(t, defaultFeed, 2)
		if got := w.deadLetters(); len(got) != 1 || got[0] != (dead{defaultFeed, "a-1", "not for me", 1}) {
			t.Errorf("dead letters %+v", got)
		}
		if want := []string{"a-1", "a-2"}; !slices.Equal(seen.ids(), want) {
			t.Errorf("handled %v, want %v", seen.ids(), want)
		}
	})
}

func TestNothingIsAcknowledgedBeforeItsDeadLetterIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		failures := 0
		w.bury = func(event.Event) error {
			if failures++; failures <= 3 {
				return errDown
			}
			return nil
		}
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if seen.add(d); d.Event.Conversation == "a" && d.Event.ID == "a-1" {
				return sdk.Reject(errors.New("no"))
			}
			return nil
		}), granted(), host.Limits{})
		w.publish(message("a", 1), message("a", 2), message("b", 1))
		w.until(t, "a failed dead letter", func() bool { return failures == 3 })
		if got := w.ackedIDs(defaultFeed); !slices.Equal(got, []string{"b-1"}) {
			t.Errorf("acknowledged %v while the dead letter is not stored", got)
		}
		if len(seen.of("a-2")) != 0 {
			t.Error("a-2 overtook a-1, which is nowhere yet")
		}
		w.acked(t, defaultFeed, 3)
		if got := w.deadLetters(); len(got) != 1 || got[0].id != "a-1" {
			t.Errorf("dead letters %+v", got)
		}
	})
}

func TestTheWindowIsFullAndNeverMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var mu sync.Mutex
		inside, most := 0, 0
		r := run(t, w, anyPlugin(func(context.Context, *sdk.Delivery) error {
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			inside--
			mu.Unlock()
			return nil
		}), granted(), host.Limits{Window: 4, Held: 32})
		for c := range 100 {
			w.publish(message(strconv.Itoa(c), 1))
		}
		synctest.Wait()
		if held := r.feed().Held; held != 32 {
			t.Errorf("%d events held, want 32", held)
		}
		w.acked(t, defaultFeed, 100)
		if most != 4 {
			t.Errorf("%d at once, want 4", most)
		}
		if got := w.spec(defaultFeed).Held; got != 32 {
			t.Errorf("the feed may have %d out, want 32", got)
		}
	})
}

func TestAnEventThatComesAgainWhileItIsHeldIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var seen visits
		run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if seen.add(d); d.Event.ID == "a-1" {
				time.Sleep(25 * time.Second)
			}
			return nil
		}), granted(), host.Limits{})
		w.publish(message("a", 1), message("a", 2))
		synctest.Wait()
		w.redeliver(defaultFeed, 0) // inside the plugin
		w.redeliver(defaultFeed, 1) // waiting for its turn
		w.acked(t, defaultFeed, 2)
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
	mine, others, result := message("a", 1), message("a", 2), message("a", 3)
	mine.By, others.By = "tester", "another"
	result.By, result.Type = "tester", event.ActionConfirmed
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
				w := newWorld(aDay)
				var seen visits
				r := run(t, w, withFeeds(sdk.Feed{OwnEchoes: tt.want, Handlers: sdk.Handlers{
					OnEvent: func(_ context.Context, d *sdk.Delivery) error { seen.add(d); return nil },
				}}), granted(), host.Limits{})
				w.publish(mine, others, result)
				w.acked(t, defaultFeed, 3)
				if !slices.Equal(seen.ids(), tt.seen) {
					t.Errorf("handled %v, want %v", seen.ids(), tt.seen)
				}
				if got := r.Snapshot("tester").Echoes; got != uint64(3-len(tt.seen)) {
					t.Errorf("%d echoes counted", got)
				}
			})
		})
	}
}
