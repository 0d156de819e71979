package host_test

import (
	"context"
	"errors"
	"fmt"
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

func TestAFeedHasWhatBothTheOperatorAndThePluginWant(t *testing.T) {
	tests := []struct {
		name            string
		granted, wanted []string
		want            []event.Pattern
	}{
		{"no more than granted", []string{"message.new"}, []string{"*"}, []event.Pattern{"message.new"}},
		{"no more than wanted", []string{"*"}, []string{"message.new"}, []event.Pattern{"message.new"}},
		{"what both name in part", []string{"message.*", "conversation.new"}, []string{"message.new", "conversation.*"},
			[]event.Pattern{"message.new", "conversation.new"}},
		{"nothing in common", []string{"conversation.*"}, []string{"message.*"}, nil},
		{"nothing granted", nil, []string{"*"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				spec := granted()
				spec.Events, spec.Accounts = event.Patterns(tt.granted), []string{"7", "8"}
				run(t, w, withFeeds(sdk.Feed{Events: tt.wanted}), spec, host.Limits{})
				w.until(t, "an open feed", func() bool { return len(w.open) == 1 })
				got := w.spec(defaultFeed)
				if !slices.Equal(got.Events, tt.want) || !slices.Equal(got.Accounts, []string{"7", "8"}) || got.Held != 4096 || got.Parked != 65536 {
					t.Errorf("the feed is %+v, want events %v", got, tt.want)
				}
			})
		})
	}
}

func TestAFeedHasItsOwnRetriesOrTheHosts(t *testing.T) {
	tests := []struct {
		name         string
		feed, limits []time.Duration
		want         []time.Duration
	}{
		{"the host's", nil, []time.Duration{time.Second, time.Hour}, []time.Duration{time.Second, time.Hour}},
		{"the feed's own", []time.Duration{time.Minute}, []time.Duration{time.Second, time.Hour}, []time.Duration{time.Minute}},
		{"the default", nil, nil, []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute,
			10 * time.Minute, 30 * time.Minute, time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				var seen visits
				run(t, w, withFeeds(sdk.Feed{Retries: tt.feed, Handlers: sdk.Handlers{
					OnEvent: func(_ context.Context, d *sdk.Delivery) error { seen.add(d); return errors.New("no") },
				}}), granted(), host.Limits{Retries: tt.limits})
				w.publish(message("a", 1))
				w.acked(t, defaultFeed, 1)
				about := func(got, want time.Duration) bool { return got >= want*8/10 && got <= want*12/10 }
				if got := seen.waits("a-1"); !slices.EqualFunc(got, tt.want, about) {
					t.Errorf("waits %v, want %v, each give or take a fifth", got, tt.want)
				}
				if got := w.deadLetters(); len(got) != 1 || got[0] != (dead{defaultFeed, "a-1", "no", len(tt.want) + 1}) {
					t.Errorf("dead letters %+v", got)
				}
			})
		})
	}
}

func TestAPauseHoldsItsFeedAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var paused, other visits
		run(t, w, withFeeds(
			sdk.Feed{Name: "paused", Handlers: sdk.Handlers{
				OnEvent: func(_ context.Context, d *sdk.Delivery) error {
					if n := paused.add(d); n == 0 && d.Event.ID == "a-1" {
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
		w.acked(t, "tester/other", 1)
		w.publish(message("a", 2))
		w.acked(t, "tester/other", 2)
		if time.Since(began) != 0 {
			t.Errorf("the other feed waited %s", time.Since(began))
		}
		w.acked(t, "tester/paused", 2)
		if got := time.Since(began); got != 10*time.Minute {
			t.Errorf("the pause took %s", got)
		}
	})
}

func TestEchoesAreCountedOverAllFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		mine := message("a", 1)
		mine.By = "tester"
		r := run(t, w, withFeeds(sdk.Feed{Name: "one"}, sdk.Feed{Name: "two"}), granted(), host.Limits{})
		w.publish(mine)
		w.acked(t, "tester/one", 1)
		w.acked(t, "tester/two", 1)
		synctest.Wait()
		if got := r.Snapshot("tester").Echoes; got != 2 {
			t.Errorf("%d echoes counted, want 2", got)
		}
	})
}

// The line asks for events as the plugin's feeds need them; these are what the
// plugin asks of the host meanwhile.
func TestRequests(t *testing.T) {
	send := event.Action{ID: "1", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"content":"hi"}`)}
	with := func(change func(*event.Action)) event.Action { a := send; change(&a); return a }
	do := func(a event.Action) func(context.Context, *sdk.Host) error {
		return func(ctx context.Context, h *sdk.Host) error { _, err := h.Do(ctx, a); return err }
	}
	tests := []struct {
		name string
		ask  func(context.Context, *sdk.Host) error
		want error
		text string
	}{
		{"a granted action is accepted", do(send), nil, ""},
		{"an action that was not granted names the setting", do(with(func(a *event.Action) { a.Type, a.Body = event.MarkAsRead, nil })),
			sdk.ErrNotGranted, "plugins.tester.actions"},
		{"an account that was not granted names the setting", do(with(func(a *event.Action) { a.Account = "8" })),
			sdk.ErrNotGranted, "plugins.tester.accounts"},
		{"an invalid action is final", do(with(func(a *event.Action) { a.Body = []byte(`{"content":" "}`) })),
			sdk.ErrInvalid, "not blank"},
		{"what gRPC cannot carry is invalid", do(with(func(a *event.Action) { a.ID = "\xff" })), sdk.ErrInvalid, "UTF-8"},
		{"what cannot be done now may be tried again", do(with(func(a *event.Action) { a.Conversation = "down" })),
			sdk.ErrUnavailable, "it is down"},

		{"a key that is not there is not found", func(ctx context.Context, h *sdk.Host) error {
			_, err := h.Get(ctx, "none")
			return err
		}, sdk.ErrNotFound, ""},
		{"what was put is got, and gone once deleted", func(ctx context.Context, h *sdk.Host) error {
			value := strings.Repeat("x", 64<<10)
			if err := h.Put(ctx, strings.Repeat("k", 256), []byte(value)); err != nil {
				return err
			}
			if got, err := h.Get(ctx, strings.Repeat("k", 256)); err != nil || string(got) != value {
				return fmt.Errorf("got %d bytes, %w", len(got), err)
			}
			if err := h.Delete(ctx, strings.Repeat("k", 256)); err != nil {
				return err
			}
			if _, err := h.Get(ctx, strings.Repeat("k", 256)); !errors.Is(err, sdk.ErrNotFound) {
				return fmt.Errorf("after Delete: %w", err)
			}
			return h.Delete(ctx, "never there")
		}, nil, ""},
		{"a key without a name is invalid", func(ctx context.Context, h *sdk.Host) error {
			_, err := h.Get(ctx, "")
			return err
		}, sdk.ErrInvalid, "1 to 256 bytes"},
		{"a key that is too long is invalid", func(ctx context.Context, h *sdk.Host) error {
			return h.Delete(ctx, strings.Repeat("k", 257))
		}, sdk.ErrInvalid, "this has 257"},
		{"a key that is cut in a letter is invalid", func(ctx context.Context, h *sdk.Host) error {
			return h.Put(ctx, "é"[:1], nil)
		}, sdk.ErrInvalid, "UTF-8"},
		{"a value that is too large is invalid", func(ctx context.Context, h *sdk.Host) error {
			return h.Put(ctx, "k", make([]byte, 64<<10+1))
		}, sdk.ErrInvalid, "65537 bytes, 65536 are allowed"},
		{"a value larger than any message is invalid too", func(ctx context.Context, h *sdk.Host) error {
			return h.Put(ctx, "k", make([]byte, 17<<20))
		}, sdk.ErrInvalid, "65536 are allowed"},
	}
	w := newWorld(10 * time.Second)
	w.accept = func(a event.Action) error {
		if a.Conversation == "down" {
			return errDown
		}
		return nil
	}
	spec := granted()
	spec.Actions = []event.ActionType{event.SendMessage}
	errs := make(chan error, len(tests))
	p := withFeeds()
	p.Configure = func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
		return []sdk.Feed{{Handlers: sdk.Handlers{OnEvent: func(ctx context.Context, d *sdk.Delivery) error {
			i, _ := strconv.Atoi(d.Event.Conversation)
			errs <- tests[i].ask(ctx, h)
			return nil
		}}}}, nil
	}
	r := run(t, w, p, spec, host.Limits{})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.publish(message(strconv.Itoa(i), 1))
			select {
			case err := <-errs:
				if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
				}
			case <-time.After(w.patience):
				t.Fatal("not answered")
			}
		})
	}
	w.acked(t, defaultFeed, len(tests))
	if got := w.taken(); len(got) != 1 || got[0].sender != "tester" || got[0].ID != "1" {
		t.Errorf("actions %+v", got)
	}
	// Those that are invalid in themselves did not come to the host.
	if accepted, refused := r.Accepted.Load(), r.Refused.Load(); accepted != 1 || refused != 3 {
		t.Errorf("%d actions accepted, %d refused", accepted, refused)
	}
	if len(w.stored()) != 0 {
		t.Error("something is stored")
	}
}

func TestPluginsDoNotShareTheirStores(t *testing.T) {
	w := newWorld(10 * time.Second)
	w.store["another/k"] = "secret"
	found := make(chan error, 1)
	p := withFeeds()
	p.Configure = func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
		return []sdk.Feed{{Handlers: sdk.Handlers{OnEvent: func(ctx context.Context, _ *sdk.Delivery) error {
			_, err := h.Get(ctx, "k")
			found <- err
			return h.Put(ctx, "k", []byte("mine"))
		}}}}, nil
	}
	run(t, w, p, granted(), host.Limits{})
	w.publish(message("a", 1))
	w.acked(t, defaultFeed, 1)
	if err := <-found; !errors.Is(err, sdk.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if got := w.stored(); got["tester/k"] != "mine" || got["another/k"] != "secret" {
		t.Errorf("store %v", got)
	}
}

func TestDrainFinishesWhatIsInsideAndBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var seen visits
		p := withFeeds()
		p.Configure = func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
			return []sdk.Feed{{Handlers: sdk.Handlers{OnEvent: func(ctx context.Context, d *sdk.Delivery) error {
				seen.add(d)
				time.Sleep(2 * time.Second)
				return h.Put(ctx, d.Event.ID, nil) // and the host answers still
			}}}}, nil
		}
		r := run(t, w, p, granted(), host.Limits{Window: 3})
		for c := range 6 {
			w.publish(message(strconv.Itoa(c), 1), message(strconv.Itoa(c), 2))
		}
		synctest.Wait()
		began := time.Now()
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("drained in %s, want 2s", took)
		}
		ids := w.ackedIDs(defaultFeed)
		slices.Sort(ids)
		if want := []string{"0-1", "1-1", "2-1"}; !slices.Equal(ids, want) || len(seen.all()) != 3 {
			t.Errorf("acknowledged %v of %v, want %v", ids, seen.ids(), want)
		}
		if len(w.open) != 0 || w.live != nil {
			t.Error("its feeds are open still")
		}
		if got := r.feed(); got.Held != 0 {
			t.Errorf("%d held after the end", got.Held)
		}
	})
}

func TestDrainIsBoundedForAPluginThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		goOn := make(chan struct{})
		defer close(goOn)
		r := run(t, w, anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
			if d.Event.Conversation == "hangs" {
				<-goOn
			}
			return nil
		}), granted(), host.Limits{Drain: 7 * time.Second})
		w.publish(message("hangs", 1), message("hangs", 2), message("a", 1))
		w.acked(t, defaultFeed, 1)
		synctest.Wait()
		client, began := r, time.Now()
		go func() { _ = client.stop() }()
		<-r.ended
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("ended in %s, want 7s", took)
		}
		if got := w.ackedIDs(defaultFeed); !slices.Equal(got, []string{"a-1"}) {
			t.Errorf("acknowledged %v", got)
		}
	})
}

func TestTypingGoesBesideEverythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var mu sync.Mutex
		var got []event.Type
		p := withFeeds()
		p.Configure = func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
			return []sdk.Feed{{Handlers: sdk.Handlers{
				OnTyping: func(ctx context.Context, e event.Event, v event.Typing) {
					if err := h.Put(ctx, "typing", []byte(v.UserName)); err != nil { // asking the host is allowed
						t.Error(err)
					}
					mu.Lock()
					got = append(got, e.Type)
					mu.Unlock()
					time.Sleep(time.Hour)
					if v.UserName == "Boom" {
						panic("on purpose")
					}
				},
			}}}, nil
		}
		r := run(t, w, p, granted(), host.Limits{})
		synctest.Wait()
		began := time.Now()
		typing := func(kind event.Type, name string) {
			w.live(event.Event{ID: "t", Type: kind, Account: "7", Conversation: "1", Data: fmt.Appendf(nil, `{"user_name":%q}`, name)})
		}
		typing(event.TypingStart, "Boom")
		typing(event.TypingStart, "Ada")
		typing(event.TypingStop, "Ada")
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		if took := time.Since(began); took != 0 {
			t.Errorf("an event waited %s for a slow OnTyping", took)
		}
		time.Sleep(3 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if want := []event.Type{event.TypingStart, event.TypingStart, event.TypingStop}; !slices.Equal(got, want) {
			t.Errorf("typing %v, want %v", got, want)
		}
		if w.stored()["tester/typing"] != "Ada" || r.Live.Load() != 3 {
			t.Errorf("store %v, %d live", w.stored(), r.Live.Load())
		}
	})
}

func TestAHandlersErrorMayBeAnything(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want func(reason string) bool
	}{
		{"not UTF-8", sdk.Reject(errors.New("caf\xe9")), func(s string) bool { return s == "caf\uFFFD" }},
		{"larger than any message", sdk.Reject(errors.New(strings.Repeat("x", 17<<20))), func(s string) bool { return len(s) < 2000 }},
		{"nothing in a verdict", sdk.Reject(nil), func(s string) bool { return s == "no reason was given" }},
		{"a verdict below others", fmt.Errorf("post: %w", sdk.Reject(errors.New("no"))), func(s string) bool { return s == "post: no" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				run(t, w, anyPlugin(func(context.Context, *sdk.Delivery) error { return tt.err }), granted(), host.Limits{})
				w.publish(message("a", 1))
				w.acked(t, defaultFeed, 1)
				if got := w.deadLetters()[0].reason; !tt.want(got) {
					t.Errorf("the reason is %.100q", got)
				}
			})
		})
	}
}
