package feed_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func TestAFilterKeepsOutWhatIsNotWantedAndBuriesWhatItFailsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		failures := 0
		w.bury = func(event.Event) error {
			if failures++; failures == 1 {
				return errDown
			}
			return nil
		}
		var seen visits
		r := run(t, w, func(d *pluginv1.Delivery) result { seen.add(d); return ack }, feed.Options{
			Filter: func(e event.Event) (bool, error) {
				if e.ID == "a-2" {
					return false, errors.New("filter: cannot fetch b from <nil>")
				}
				return e.ID != "a-3", nil
			},
		})
		w.publish(message("a", 1), message("a", 2), message("a", 3), message("a", 4), message("b", 1))
		w.done(t, 5)
		synctest.Wait()
		if got := seen.ids(); len(got) != 3 || len(seen.of("b-1")) != 1 || got[2] != "a-4" || seen.of("a-4")[0].at.Sub(seen.of("b-1")[0].at) == 0 {
			t.Errorf("handled %v: a-4 comes when a-2 is stored as a dead letter, b-1 at once", got)
		}
		if got := w.deadLetters(); len(got) != 1 || got[0] != (dead{"a-2", "filter: cannot fetch b from <nil>", 0}) {
			t.Errorf("dead letters %+v", got)
		}
		if s := r.status(); s.Filtered != 1 || s.Dead != 1 || s.Acked != 3 || s.Delivered != 3 || s.Held != 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestARateIsKept(t *testing.T) {
	for _, perSecond := range []float64{0.5, 4, 100} {
		t.Run(strconv.FormatFloat(perSecond, 'g', -1, 64), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const events = 300
				w := newWorld()
				var seen visits
				run(t, w, func(d *pluginv1.Delivery) result { seen.add(d); return ack }, feed.Options{Rate: perSecond})
				began := time.Now()
				for n := range events {
					w.publish(message(strconv.Itoa(n), 1))
				}
				w.done(t, events)
				got, want := events/time.Since(began).Seconds(), perSecond
				if got < want*0.95 || got > want*1.05 {
					t.Errorf("%.2f a second, want %.2f", got, want)
				}
				all := seen.all()
				within := func(from int) (n int) {
					for _, v := range all[from:] {
						if v.at.Sub(all[from].at) < time.Second {
							n++
						}
					}
					return n
				}
				for i := range all {
					if n := within(i); float64(n) > max(1, perSecond)*1.1 {
						t.Fatalf("%d within a second", n)
					}
				}
			})
		})
	}
}

func TestWithoutOrderARetryHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); d.GetEvent().GetId() == "a-1" && n == 0 {
				return retryAfter(time.Hour, "no")
			}
			return ack
		}, feed.Options{Retries: enough, Unordered: true, Window: 1})
		w.publish(message("a", 1), message("a", 2), message("a", 3))
		w.done(t, 3)
		if got := seen.ids(); !slices.Equal(got, []string{"a-1", "a-2", "a-3", "a-1"}) {
			t.Errorf("handled %v", got)
		}
	})
}

func TestWhatFailedTogetherDoesNotComeBackTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			if n := seen.add(d); n == 0 {
				return retry("no")
			}
			return ack
		}, feed.Options{Retries: []time.Duration{10 * time.Second}})
		const events = 100
		for n := range events {
			w.publish(message(strconv.Itoa(n), 1))
		}
		w.done(t, events)
		var waits []time.Duration
		for n := range events {
			waits = append(waits, seen.waits(strconv.Itoa(n)+"-1")...)
		}
		slices.Sort(waits)
		if len(waits) != events || waits[0] < 8*time.Second || waits[events-1] > 12*time.Second || waits[events-1]-waits[0] < 2*time.Second {
			t.Errorf("%d waits from %s to %s", len(waits), waits[0], waits[events-1])
		}
	})
}

func TestAnEmptyWaitIsNoLessThanNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var seen visits
		run(t, w, func(d *pluginv1.Delivery) result {
			switch seen.add(d) {
			case 0:
				return retry("no")
			case 1:
				return retryAfter(-time.Hour, "no")
			}
			return ack
		}, feed.Options{Retries: []time.Duration{0, 0}})
		w.publish(message("a", 1))
		w.done(t, 1)
		if got := seen.waits("a-1"); !slices.Equal(got, []time.Duration{0, 0}) {
			t.Errorf("waits %v", got)
		}
	})
}

func TestAPluginThatDoesNotAnswerHangs(t *testing.T) {
	tests := []struct {
		name    string
		answers time.Duration
		hangs   bool
	}{
		{"an answer within the timeout and the way back", 34 * time.Second, false},
		{"no answer", aDay, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.publish(message("a", 1), message("b", 1))
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				var f *feed.Feed
				f = feed.New(feed.Options{
					Plugin: "tester", Name: "f", Source: source{w}, Window: 256, Held: 100, Parked: 100,
					Timeout: 30 * time.Second, Stats: &feed.Stats{}, Log: slog.New(slog.DiscardHandler), Stray: func() {},
					Deliver: func(_ context.Context, d *pluginv1.Delivery) {
						go func() {
							if d.GetEvent().GetId() == "a-1" {
								time.Sleep(tt.answers)
							}
							out := &pluginv1.Outcome{Delivery: d.GetId()}
							ack(out)
							f.Settle(ctx, out)
							if d.GetEvent().GetId() == "a-1" {
								cancel(errStopped)
							}
						}()
					},
				})
				w.change(func() { w.allowed = 100 })
				began := time.Now()
				err := f.Run(ctx, nil)
				if hung := !errors.Is(err, errStopped); hung != tt.hangs || hung && !strings.Contains(err.Error(), "plugin hangs: no outcome of event a-1 of feed f within 35s") {
					t.Errorf("error %v", err)
				}
				if tt.hangs && (time.Since(began) < 35*time.Second || time.Since(began) > 36*time.Second) {
					t.Errorf("seen after %s", time.Since(began))
				}
				if got := w.ackedIDs(); !slices.Contains(got, "b-1") {
					t.Errorf("acknowledged %v", got)
				}
				time.Sleep(aDay) // until its goroutine has ended
			})
		})
	}
}
