package host_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// good does nothing wrong. Each start has a server of its own, as a process
// would.
func good(host.Spec, int) (pluginv1.PluginServer, error) {
	return anyPlugin(func(context.Context, *sdk.Delivery) error { return nil }).Server(slog.New(slog.DiscardHandler)), nil
}

func TestAPluginThatEndsIsStartedAgainLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// It lives long enough not to be in a crash loop, and not to be healthy.
		m := &memory{serve: good, dies: func(host.Spec, int) time.Duration { return 3 * time.Minute }}
		h := inMemory(t, newWorld(aDay), m, named("tester")...)
		time.Sleep(time.Hour)
		wait := time.Second
		for i, d := range m.waits() {
			if err := within(d-3*time.Minute, wait/2, wait*3/2); err != nil {
				t.Errorf("wait %d: %v", i+1, err)
			}
			wait = min(2*wait, 2*time.Minute)
		}
		if n := len(m.started()); n < 10 || h.status("tester").Restarts != n-1 {
			t.Errorf("%d starts in an hour, %d restarts", n, h.status("tester").Restarts)
		}
	})
}

func TestHowAProcessEndedIsToldThoughItsLineBrokeBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{
			serve: func(host.Spec, int) (pluginv1.PluginServer, error) {
				return &raw{feeds: rawFeeds("default"), connect: func(rawStream) error { return nil }}, nil
			},
			dies: func(host.Spec, int) time.Duration { return 400 * time.Millisecond },
		}
		h := inMemory(t, newWorld(aDay), m, named("tester")...)
		time.Sleep(450 * time.Millisecond)
		if s := h.is(t, "tester", host.Waiting); !strings.Contains(s.Reason, "exit status 3") {
			t.Errorf("the reason is %q", s.Reason)
		}
	})
}

func TestTheWaitBeginsAnewAfterTenMinutesOfHealth(t *testing.T) {
	tests := []struct {
		name  string
		lives time.Duration
		ill   time.Duration // from when on it says that it is unhealthy; 0: never
		anew  bool
	}{
		{"it was well for long", 11 * time.Minute, 0, true},
		{"it was not well for long enough", 9 * time.Minute, 0, false},
		{"it was unhealthy all the time", 11 * time.Minute, time.Nanosecond, false},
		{"it had been well for long before it became unhealthy", 20 * time.Minute, 11 * time.Minute, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{
					serve: func(host.Spec, int) (pluginv1.PluginServer, error) {
						began := time.Now()
						return &raw{feeds: rawFeeds("default"), deaf: true, connect: ponging(func() (string, bool) {
							if tt.ill > 0 && time.Since(began) >= tt.ill {
								return "the disk is full", true
							}
							return "", true
						})}, nil
					},
					dies: func(_ host.Spec, n int) time.Duration {
						if n == 5 {
							return tt.lives
						}
						return 150 * time.Second
					},
				}
				h := inMemory(t, newWorld(aDay), m, named("tester")...)
				time.Sleep(15 * time.Minute)
				if got := h.status("tester").Unhealthy; got != "" && tt.ill == 0 {
					t.Errorf("it is unhealthy: %s", got)
				} else if tt.ill == time.Nanosecond && got != "the disk is full" {
					t.Errorf("nothing is said of its health: %q", got)
				}
				time.Sleep(tt.lives)
				after := m.waits()[4] - tt.lives
				if tt.anew && after > 1500*time.Millisecond || !tt.anew && after < 8*time.Second {
					t.Errorf("the fifth wait is %s; anew: %t", after, tt.anew)
				}
			})
		})
	}
}

// ponging answers pings with what health says, or not at all where that is not
// ok, and nothing else.
func ponging(health func() (unhealthy string, ok bool)) func(rawStream) error {
	return func(s rawStream) error {
		for {
			m, err := s.Recv()
			if err != nil {
				return nil
			}
			if ping := m.GetPing(); ping != nil {
				unhealthy, ok := health()
				if !ok {
					continue
				}
				pong := &pluginv1.Pong{Number: ping.GetNumber(), Unhealthy: unhealthy}
				if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: pong}}); err != nil {
					return err
				}
			}
			if m.GetDrain() != nil {
				return nil
			}
		}
	}
}

func TestAPluginThatKeepsCrashingIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		m := &memory{
			serve: good,
			dies: func(s host.Spec, _ int) time.Duration {
				if s.Name == "bad" && !mended.Load() {
					return time.Millisecond
				}
				return 0
			},
		}
		h := inMemory(t, newWorld(aDay), m, named("bad", "good")...)
		time.Sleep(time.Minute)
		s := h.is(t, "bad", host.CrashLooping)
		if !strings.Contains(s.Reason, "ended 5 times within 10 minutes: ") || !strings.Contains(s.Reason, "exit status 3") || s.Restarts != 4 {
			t.Errorf("after %d restarts: %q", s.Restarts, s.Reason)
		}
		time.Sleep(10 * time.Hour)
		if n := len(m.started()); n != 6 {
			t.Errorf("%d starts, with the one of the good plugin; want 6", n)
		}
		h.is(t, "good", host.Running)

		// Nobody but the operator brings it back, and with no grudge.
		if err := h.Resume(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "restart it") {
			t.Errorf("resume: %v", err)
		}
		if err := h.Restart(t.Context(), "bad"); err != nil && !errors.Is(err, errDied) {
			t.Errorf("restart: %v", err)
		}
		h.is(t, "bad", host.Running)
		synctest.Wait()
		time.Sleep(time.Millisecond)
		h.is(t, "bad", host.Waiting)
		mended.Store(true)
		time.Sleep(time.Hour)
		if s := h.is(t, "bad", host.Running); s.Unhealthy != "" || s.Reason != "" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestFiveCrashesInMoreThanTenMinutesAreNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{serve: good, dies: func(host.Spec, int) time.Duration { return 151 * time.Second }}
		h := inMemory(t, newWorld(aDay), m, named("tester")...)
		time.Sleep(5 * time.Hour)
		if s := h.status("tester"); s.State == host.CrashLooping {
			t.Errorf("it is %s: %s", s.State, s.Reason)
		}
	})
}

// A plugin must not be set aside for what the bridge, or NATS, could not do.
func TestAFeedThatCannotBeOpenedIsNoCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{serve: func(host.Spec, int) (pluginv1.PluginServer, error) {
			return &raw{feeds: rawFeeds("one", "two"), connect: answering(nil)}, nil
		}, t: t}
		w := newWorld(aDay)
		o := options(t, w, host.Limits{})
		o.Parts.Feeds = brokenFeeds{w}
		h := host.NewIn(named("tester"), o, m.start)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go func() {
			time.Sleep(59 * time.Minute)
			if s := h.Status()[0]; s.State != host.Waiting || !strings.Contains(s.Reason, errDown.Error()) || s.Restarts < 20 {
				t.Errorf("after an hour: %+v", s)
			}
		}()
		if err := h.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestAPluginThatDoesNotAnswerPingsIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := make(chan struct{})
		m := &memory{serve: func(_ host.Spec, n int) (pluginv1.PluginServer, error) {
			return &raw{feeds: rawFeeds("default"), deaf: true, connect: ponging(func() (string, bool) {
				select {
				case <-silent:
					return "", n > 1
				default:
					return "", true
				}
			})}, nil
		}}
		h := inMemory(t, newWorld(aDay), m, named("tester")...)
		time.Sleep(time.Hour) // it answers, and nothing else ever comes from it
		if n := len(m.started()); n != 1 {
			t.Fatalf("%d starts of a plugin that answers", n)
		}
		time.Sleep(time.Second)
		close(silent)
		began := time.Now()
		for h.status("tester").State == host.Running {
			time.Sleep(100 * time.Millisecond)
		}
		if err := within(time.Since(began), 10*time.Second, 21*time.Second); err != nil {
			t.Errorf("noticed after %v", err)
		}
		if s := h.is(t, "tester", host.Waiting); !strings.Contains(s.Reason, "hangs") {
			t.Errorf("the reason is %q", s.Reason)
		}
		time.Sleep(2 * time.Second)
		h.is(t, "tester", host.Running)
		time.Sleep(time.Hour)
		if n := len(m.started()); n != 2 {
			t.Errorf("%d starts", n)
		}
	})
}

// That the host itself is busy with what a plugin asked of it is not the
// plugin's silence.
func TestAPluginThatWaitsForTheHostDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{t: t, serve: func(host.Spec, int) (pluginv1.PluginServer, error) {
			return &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
				for id := range uint64(12) { // one after the other, 25 s each
					get := &pluginv1.Request_Get{Get: &pluginv1.Get{Key: "k"}}
					if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{
						Request: &pluginv1.Request{Id: id, Request: get},
					}}); err != nil {
						return err
					}
				}
				return ponging(func() (string, bool) { return "", true })(s)
			}}, nil
		}}
		w := newWorld(aDay)
		o := options(t, w, host.Limits{Requests: 1})
		o.Parts.Store = slowStore{w, func() { time.Sleep(25 * time.Second) }}
		h := host.NewIn(named("tester"), o, m.start)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := h.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || len(m.started()) != 1 {
			t.Errorf("%d starts, %v", len(m.started()), err)
		}
	})
}

func TestAWrongChecksumIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{serve: func(s host.Spec, n int) (pluginv1.PluginServer, error) {
			if n == 1 {
				return nil, &process.StartError{Plugin: s.Name, Err: &process.ChecksumError{Path: "/x"}}
			}
			return good(s, n)
		}}
		h := inMemory(t, newWorld(aDay), m, named("tester")...)
		time.Sleep(time.Hour)
		h.is(t, "tester", host.Refused)
		if err := h.Restart(t.Context(), "tester"); err != nil { // the right file is back
			t.Error(err)
		}
		h.is(t, "tester", host.Running)
	})
}
