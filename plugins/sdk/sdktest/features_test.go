package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// handling is a plugin with one handler for messages; change adds to it.
func handling(fn func(context.Context, *sdk.Delivery, event.Message) error, change ...func(*sdk.Plugin[struct{}])) sdk.Plugin[struct{}] {
	p := sdk.Plugin[struct{}]{
		Name: "tester", Version: "1", Events: []string{"message.*"}, Actions: event.ActionTypes,
		Configure: sdk.Handle[struct{}](sdk.Handlers{OnMessageNew: fn}),
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

// bubble runs a test where time passes when all wait.
func bubble(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, fn)
}

// types are the actions so far, in order.
func types(line *sdktest.Line) string {
	var list []string
	for _, a := range line.Actions() {
		list = append(list, string(a.Type))
	}
	return strings.Join(list, " ")
}

func ack(t *testing.T, line *sdktest.Line, e event.Event) {
	t.Helper()
	if out := line.Deliver(e); out.Result != sdktest.Ack {
		t.Fatalf("outcome of %s is %+v", e.ID, out)
	}
}

func TestTypingIsKeptAliveAndAlwaysStopped(t *testing.T) {
	fails := errors.New("it fails")
	tests := []struct {
		name string
		fn   func(context.Context) error
		want string
	}{
		{"at once", func(context.Context) error { return nil }, "start_typing stop_typing"},
		{"for five seconds", func(context.Context) error { time.Sleep(5 * time.Second); return nil },
			"start_typing start_typing start_typing stop_typing"},
		{"though it fails", func(context.Context) error { return fails }, "start_typing stop_typing"},
		{"though it panics", func(context.Context) error { panic("on purpose") }, "start_typing stop_typing"},
		{"though its time is over", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			strings.Repeat("start_typing ", 2) + "stop_typing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := handling(nil)
				p.Configure = func(context.Context, *sdk.Host, struct{}) ([]sdk.Feed, error) {
					timeout := time.Minute
					if strings.Contains(tt.name, "time is over") {
						timeout = 3 * time.Second
					}
					return []sdk.Feed{{Timeout: timeout, Handlers: sdk.Handlers{OnMessageNew: func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
						return c.Typing(ctx, tt.fn)
					}}}}, nil
				}
				line := sdktest.Start(t, p, `{}`)
				line.Deliver(message(1, "hi"))
				if got := types(line); got != tt.want {
					t.Errorf("actions %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestWhatIsSaidDoesNotHangOnTyping(t *testing.T) {
	bubble(t, func(t *testing.T) {
		line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
			return c.Typing(ctx, func(ctx context.Context) error { return c.Reply(ctx, "hello") })
		}), `{}`)
		line.Refuse(func(a event.Action) error {
			if a.Type.Live() {
				return sdktest.ErrUnavailable
			}
			return nil
		})
		ack(t, line, message(1, "hi"))
		if got := types(line); got != "send_message" {
			t.Errorf("actions %s", got)
		}
	})
}

func TestAPluginSeesWhatBecameOfItsAction(t *testing.T) {
	var result event.ActionResult
	var failed error
	line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
		accepted, err := c.Do(ctx, event.Action{Type: event.UpdateStatus, Body: []byte(`{"status":1}`)})
		if err != nil {
			return err
		}
		result, failed = accepted.Wait(ctx)
		return nil
	}), `{}`)
	ack(t, line, message(1, "hi"))
	if failed != nil || result.ID != "e1/default/1" || result.Type != event.UpdateStatus || result.Conversation != "1" {
		t.Errorf("result %+v, %v", result, failed)
	}
	line.Result(func(event.Action) (event.Type, string) { return event.ActionFailed, "no such conversation" })
	ack(t, line, message(2, "hi"))
	why, ok := errors.AsType[*sdk.ActionError](failed)
	if !ok || why.Type != event.ActionFailed || !strings.Contains(failed.Error(), "no such conversation") || result.Reason == "" {
		t.Errorf("result %+v, %v", result, failed)
	}
}

func TestRefusalsHaveTheirErrors(t *testing.T) {
	tests := []struct{ refusal, want error }{
		{sdktest.ErrUnavailable, sdk.ErrUnavailable}, {sdktest.ErrLimit, sdk.ErrLimit}, {sdktest.ErrInvalid, sdk.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.want.Error(), func(t *testing.T) {
			var got error
			line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
				got = c.Reply(ctx, "hello")
				return nil
			}), `{}`)
			line.Refuse(func(event.Action) error { return tt.refusal })
			ack(t, line, message(1, "hi"))
			if !errors.Is(got, tt.want) {
				t.Errorf("error %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLookUps(t *testing.T) {
	var found *sdk.Conversation
	var messages []event.Message
	var failed error
	line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
		if found, failed = c.Conversation(ctx); failed == nil {
			messages, failed = c.Messages(ctx)
		}
		return nil
	}), `{}`)
	ack(t, line, message(1, "hi"))
	if !errors.Is(failed, sdk.ErrNotFound) {
		t.Errorf("a conversation that is not there: %v", failed)
	}
	line.Conversation("7", "1", `{"id":1,"status":2,"contact":{"id":3,"name":"Ada"},"channel":"web"}`,
		`{"id":10,"content":"one"}`, `{"id":11,"content":"two"}`)
	ack(t, line, message(1, "hi"))
	if failed != nil || found.Contact.Name != "Ada" || found.Status != event.StatusPending || len(found.Messages) != 2 ||
		len(messages) != 2 || messages[1].Content != "two" || !strings.Contains(string(found.Data), "channel") {
		t.Errorf("found %+v, %v, %v", found, messages, failed)
	}
	line.Conversation("7", "1", `{"id":"x"}`)
	ack(t, line, message(1, "hi"))
	if failed == nil || !strings.Contains(failed.Error(), "read it") {
		t.Errorf("data that cannot be read: %v", failed)
	}
}

func TestKeysAreReadPageByPage(t *testing.T) {
	var keys []string
	var failed error
	line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, m event.Message) error {
		if m.Content == "fill" {
			for i := range 1100 {
				if err := c.Host.Put(ctx, fmt.Sprintf("k/%04d", i), []byte("x")); err != nil {
					return err
				}
			}
			return c.Host.Put(ctx, "other", nil)
		}
		for key, err := range c.Host.Keys(ctx, "k/") {
			if keys, failed = append(keys, key), err; key == m.Content {
				return nil
			}
		}
		return nil
	}), `{}`)
	ack(t, line, message(1, "fill"))
	ack(t, line, message(2, "all"))
	if failed != nil || len(keys) != 1100 || keys[0] != "k/0000" || keys[1099] != "k/1099" || !slices.IsSorted(keys) {
		t.Errorf("%d keys, %v", len(keys), failed)
	}
	keys = nil
	ack(t, line, message(3, "k/0003"))
	if len(keys) != 4 {
		t.Errorf("%d keys, though the loop ended at the fourth", len(keys))
	}
}

func TestATimerComesWhenItIsDueAlsoAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var came []string
		began := time.Now()
		p := handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
			err := c.Host.Schedule(ctx, "remind", time.Now().Add(time.Hour), []byte(c.Event.Conversation))
			return errors.Join(err, c.Host.Schedule(ctx, "never", time.Now().Add(time.Minute), nil), c.Host.Unschedule(ctx, "never"))
		}, func(p *sdk.Plugin[struct{}]) {
			p.OnTimer = func(ctx context.Context, c *sdk.Delivery, timer sdk.Timer) error {
				mu.Lock()
				defer mu.Unlock()
				came = append(came, fmt.Sprint(timer.Key, " ", time.Since(began).Round(time.Minute), " ", c.Attempt, " ", c.Timer.At.Equal(timer.At)))
				if len(came) == 1 {
					return sdk.RetryAfter(time.Minute, errors.New("not yet"))
				}
				return c.For("7", string(timer.Data)).Reply(ctx, "are you still there?")
			}
		})
		line := sdktest.Start(t, p, `{}`)
		ack(t, line, message(5, "hi"))
		if at := line.Timers(); len(at) != 1 || !at["remind"].Equal(began.Add(time.Hour)) {
			t.Errorf("timers %v", at)
		}
		line.Restart()
		time.Sleep(2 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"remind 1h0m0s 1 true", "remind 1h1m0s 2 true"}; !slices.Equal(came, want) {
			t.Errorf("came %q, want %q", came, want)
		}
		if a := line.Actions(); len(a) != 1 || a[0].Conversation != "5" || !strings.HasPrefix(a[0].ID, "timer/remind/") || len(line.Timers()) != 0 {
			t.Errorf("actions %+v, timers %v", a, line.Timers())
		}
	})
}

func TestTheContextOfAHandlerEndsAtItsTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := handling(nil)
		p.Configure = func(context.Context, *sdk.Host, struct{}) ([]sdk.Feed, error) {
			return []sdk.Feed{{Timeout: 3 * time.Second, Handlers: sdk.Handlers{OnMessageNew: func(ctx context.Context, _ *sdk.Delivery, _ event.Message) error {
				<-ctx.Done()
				return ctx.Err()
			}}}}, nil
		}
		line := sdktest.Start(t, p, `{}`)
		began := time.Now()
		out := line.Deliver(message(1, "hi"))
		if took := time.Since(began); took != 3*time.Second || out.Result != sdktest.Retry || !strings.Contains(out.Reason, "not done after 3s") {
			t.Errorf("outcome %+v after %s", out, took)
		}
	})
}

func TestRepliesKeepTheirIdsThroughAttemptsAndCrashes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var times atomic.Int32
		line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
			if err := errors.Join(c.Reply(ctx, "one"), c.Reply(ctx, "two"), c.Resolve(ctx), c.MarkRead(ctx)); err != nil {
				return err
			}
			switch times.Add(1) {
			case 1:
				return errors.New("after all was done")
			case 2:
				<-ctx.Done() // in the middle of which the process ends
				return ctx.Err()
			}
			return nil
		}), `{}`)
		if out := line.Deliver(message(1, "hi")); out.Result != sdktest.Retry {
			t.Fatalf("outcome %+v", out)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		line.Crash()
		time.Sleep(time.Minute)
		if got := types(line); times.Load() != 3 || got != "send_message send_message update_status mark_as_read" {
			t.Errorf("after %d times: %s", times.Load(), got)
		}
		if out := line.Outcomes("e1"); len(out) != 2 || out[1].Result != sdktest.Ack {
			t.Errorf("outcomes %+v", out)
		}
	})
}

func TestALongEventIdMakesIdsThatTheBridgeTakes(t *testing.T) {
	line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
		return errors.Join(c.Reply(ctx, "one"), c.Reply(ctx, "two"))
	}), `{}`)
	e := message(1, "hi")
	e.ID = strings.Repeat("e", 256)
	ack(t, line, e)
	if a := line.Actions(); len(a) != 2 || a[0].ID == a[1].ID || len(a[0].ID) > 256 {
		t.Errorf("actions %+v", a)
	}
}

func TestMiddlewareGoesAroundEventsAndTimers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var trail []string
		say := func(word string) {
			mu.Lock()
			defer mu.Unlock()
			trail = append(trail, word)
		}
		with := func(name string) sdk.Middleware {
			return func(next sdk.Handler) sdk.Handler {
				return func(ctx context.Context, c *sdk.Delivery) error {
					say(name)
					defer say("/" + name)
					return next(ctx, c)
				}
			}
		}
		line := sdktest.Start(t, handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
			say("event " + c.Key() + fmt.Sprint(c.Again()))
			parent, state := sdk.Trace(ctx)
			say(parent + " " + state)
			return c.Host.Schedule(ctx, "t", time.Now().Add(time.Second), nil)
		}, func(p *sdk.Plugin[struct{}]) {
			p.Use = []sdk.Middleware{with("outer"), with("inner")}
			p.OnTimer = func(context.Context, *sdk.Delivery, sdk.Timer) error { say("timer"); return nil }
		}), `{}`)
		e := message(1, "hi")
		e.TraceParent, e.TraceState = "00-aa-bb-01", "v=1"
		ack(t, line, e)
		time.Sleep(2 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		want := "outer inner event e1false 00-aa-bb-01 v=1 /inner /outer outer inner timer /inner /outer"
		if got := strings.Join(trail, " "); got != want {
			t.Errorf("trail %s\nwant  %s", got, want)
		}
	})
}

func TestCountersAreToldOnceASecondAndAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		line := sdktest.Start(t, handling(func(_ context.Context, c *sdk.Delivery, _ event.Message) error {
			c.Host.Count("replies", 1, "result", "ok")
			c.Host.Count("replies", 2, "result", "ok")
			c.Host.Count("seen", 0.5)
			c.Host.Count("No Name", 1)
			c.Host.Count("odd", 1, "label")
			c.Host.Count("shrinks", -1)
			return nil
		}, func(p *sdk.Plugin[struct{}]) {
			p.Drain = func(context.Context) { time.Sleep(time.Second) }
		}), `{}`)
		ack(t, line, message(1, "hi"))
		if c := line.Counters(); len(c) != 0 {
			t.Errorf("told at once: %v", c)
		}
		time.Sleep(1100 * time.Millisecond)
		if c := line.Counters(); len(c) != 2 || c["replies{result=ok}"] != 3 || c["seen"] != 0.5 {
			t.Errorf("after a second: %v", c)
		}
		ack(t, line, message(2, "hi"))
		line.Restart()
		if c := line.Counters(); c["replies{result=ok}"] != 6 {
			t.Errorf("after the end: %v", c)
		}
	})
}
