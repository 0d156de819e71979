package outbox_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// The backend did the action, or did not get it, and nobody heard.
var (
	done    = simulator.Fault{Name: simulator.Deaf}
	notDone = simulator.Fault{Name: simulator.HalfOpen}
)

func TestFaultUnclearSends(t *testing.T) {
	tests := []struct {
		name    string
		fault   simulator.Fault
		killed  bool // after the write; else no echo comes
		unclear outbox.Unclear
		end     event.Type
		reason  string
		want    int // how often it is done
	}{
		{"killed, it was done: it is found", done, true, outbox.Fail, event.ActionConfirmed, "", 1},
		{"killed, it was done: it is not sent again", done, true, outbox.Resend, event.ActionConfirmed, "", 1},
		{"killed, it was not done: it fails", notDone, true, outbox.Fail, event.ActionFailed,
			"unclear: the bridge ended while it was being sent; after 700ms it was not among", 0},
		{"killed, it was not done: it is sent again", notDone, true, outbox.Resend, event.ActionConfirmed, "", 1},
		{"no echo, it was done: it is found", done, false, outbox.Fail, event.ActionConfirmed, "", 1},
		{"no echo, it was done: it is not sent again", done, false, outbox.Resend, event.ActionConfirmed, "", 1},
		{"no echo, it was not done: it fails", notDone, false, outbox.Fail, event.ActionFailed,
			"unclear: sent, but the backend did not echo it within 200ms; after 700ms it was not among", 0},
		{"no echo, it was not done: it is sent again", notDone, false, outbox.Resend, event.ActionConfirmed, "", 1},
	}
	for _, tt := range tests {
		for _, echo := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ref echoed %t", tt.name, echo), func(t *testing.T) {
				r := looking(t, simulator.Options{EchoRef: echo}, func(o *outbox.Options) { o.Unclear = tt.unclear })
				conversation := r.conversation()
				r.open()
				results := r.watch()
				r.run()
				r.fault(tt.fault)
				r.act(send(conversation, "x", "hello"))
				if res := results.next(); res.kind != event.ActionSent {
					t.Fatalf("first came %+v", res)
				}
				if tt.killed {
					if tt.fault == done {
						r.await("it is done", func(s simulator.Stats) bool { return s.Messages == 1 })
					}
					results = r.restart()
				}
				res := results.wants("x", tt.end, tt.reason)
				if want := "7/message.new/1"; tt.want == 1 && res.Event != want {
					t.Errorf("the event is %s, want %s", res.Event, want)
				}
				r.clear()
				// What comes next is not held up, and nothing comes late.
				r.act(send(conversation, "y", "after it"))
				results.wants("y", event.ActionConfirmed, "")
				want := append(slices.Repeat([]string{"hello"}, tt.want), "after it")
				if got := r.contents(conversation); !slices.Equal(got, want) {
					t.Errorf("messages: %q, want %q", got, want)
				}
				if doubles := r.stats().Doubles(); len(doubles) > 0 {
					t.Errorf("done twice: %q", doubles)
				}
			})
		}
	}
}

func TestFaultLineCutDuringAFlush(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(fmt.Sprintf("ref echoed %t", echo), func(t *testing.T) {
			const conversations, count, cuts = 50, 4, 4
			r := looking(t, simulator.Options{EchoRef: echo}, func(o *outbox.Options) {
				o.Unclear, o.Confirm = outbox.Resend, time.Second
			})
			r.open()
			results := r.watch()
			r.run()
			if err := r.link.Disconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
			// Equal texts in each, so that one could be taken for another.
			texts := []string{"ok", "ok", "no", "ok"}
			var ids []string
			for range conversations {
				ids = append(ids, r.conversation())
			}
			for n, text := range texts {
				for _, id := range ids {
					r.act(send(id, id+"/"+strconv.Itoa(n), text))
				}
			}
			if err := r.link.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			for n := range cuts {
				r.await("some are done", func(s simulator.Stats) bool { return s.Messages >= (n+1)*conversations*count/(cuts+2) })
				r.fault(simulator.Fault{Name: simulator.Drop})
			}
			for range conversations * count {
				if res := results.end(); res.kind != event.ActionConfirmed {
					t.Errorf("%s of %s: %s", res.kind, res.ID, res.Reason)
				}
			}
			for _, id := range ids {
				if got := r.contents(id); !slices.Equal(got, texts) {
					t.Errorf("conversation %s has %q", id, got)
				}
			}
			if doubles := r.stats().Doubles(); len(doubles) > 0 {
				t.Errorf("done twice: %q", doubles)
			}
			t.Logf("%d connections, status %+v", r.link.Status().Connections, r.outbox.Status())
		})
	}
}

func TestFaultAnEqualTextBeforeIsNotTakenForIt(t *testing.T) {
	tests := []struct {
		name    string
		restart bool // between them: nothing is known but what the ledger says
		reread  bool // and the second is in flight when it happens again
	}{
		{"the first was heard", false, false},
		{"the first was heard by an earlier process", true, false},
		{"the first was heard by an earlier process, the second sent by one", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
			conversation := r.conversation()
			r.open()
			results := r.watch()
			r.run()
			r.act(send(conversation, "1", "ok"))
			first := results.wants("1", event.ActionConfirmed, "")
			if tt.restart {
				results = r.restart()
			}
			r.fault(notDone)
			r.act(send(conversation, "2", "ok"))
			if res := results.next(); res.kind != event.ActionSent {
				t.Fatalf("first came %+v", res)
			}
			if tt.reread {
				results = r.restart()
			}
			second := results.wants("2", event.ActionConfirmed, "")
			if first.Event == second.Event || second.Attempts != 2 {
				t.Errorf("%s and %s after %d attempts", first.Event, second.Event, second.Attempts)
			}
			if got := r.contents(conversation); !slices.Equal(got, []string{"ok", "ok"}) {
				t.Errorf("messages: %q", got)
			}
		})
	}
}

func TestFaultRESTDownKeepsOneConversationWaiting(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
	one, two := r.conversation(), r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.rest.down.Store(true)
	r.fault(done)
	r.act(send(one, "1", "one"))
	r.await("it is done", func(s simulator.Stats) bool { return s.Messages == 1 })
	r.act(send(one, "behind", "behind it"))
	r.until("REST was asked", func() bool { return r.rest.asked.Load() > 0 })
	if err := r.link.Reconnect(t.Context()); err != nil { // the new socket is not deaf
		t.Fatal(err)
	}
	r.await("the other socket", func(s simulator.Stats) bool { return s.Sockets.Opened == 2 && s.Sockets.Open == 1 })
	r.act(send(two, "2", "two"))
	results.wants("2", event.ActionConfirmed, "")
	// Longer than the time to settle: what is not known is not decided.
	r.until("REST was asked again and again", func() bool { return r.rest.asked.Load() >= 3 })
	if n := r.stats().Messages; n != 2 {
		t.Errorf("%d messages before it was known", n)
	}
	r.rest.down.Store(false)
	results.wants("1", event.ActionConfirmed, "")
	results.wants("behind", event.ActionConfirmed, "")
	if got := r.contents(one); !slices.Equal(got, []string{"one", "behind it"}) {
		t.Errorf("messages: %q", got)
	}
	if !strings.Contains(r.log.String(), "cannot be looked for now") {
		t.Error("it was not said")
	}
}

func TestFaultBackendRestarted(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.fault(done)
	r.act(send(conversation, "1", "one"))
	r.await("it is done", func(s simulator.Stats) bool { return s.Messages == 1 })
	r.fault(simulator.Fault{Name: simulator.Restart, Duration: 1500 * time.Millisecond}) // REST answers 503
	results.wants("1", event.ActionConfirmed, "")
	if got := r.contents(conversation); !slices.Equal(got, []string{"one"}) {
		t.Errorf("messages: %q", got)
	}
}

func TestFaultHalfOpenSocketIsClosedOnce(t *testing.T) {
	const conversations = 10
	r := looking(t, simulator.Options{}, nil)
	r.open()
	results := r.watch()
	r.run()
	var ids []string
	for range conversations {
		ids = append(ids, r.conversation())
	}
	r.fault(notDone)
	for _, id := range ids {
		r.act(send(id, id, "hello"))
	}
	for range conversations {
		if res := results.end(); res.kind != event.ActionFailed || !strings.HasPrefix(res.Reason, "unclear") {
			t.Errorf("%+v", res)
		}
	}
	if n := r.link.Status().Connections; n != 2 {
		t.Errorf("%d connections", n)
	}
	r.clear()
	if n := r.stats().Messages; n != 0 {
		t.Errorf("%d came late", n)
	}
}

func TestFaultRESTThatLagsBehind(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.rest.lag.Store(new(r.detail(conversation)))
	r.fault(done)
	r.act(send(conversation, "x", "hello"))
	r.until("it was looked for", func() bool { return r.rest.asked.Load() >= 2 })
	r.rest.lag.Store(nil)
	if res := results.wants("x", event.ActionConfirmed, ""); res.Attempts != 1 {
		t.Errorf("%d attempts", res.Attempts)
	}
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("messages: %q", got)
	}
}
