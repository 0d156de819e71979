package outbox_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestAStatusWhoseFateIsUnclear(t *testing.T) {
	const resolve = `{"status":1}`
	tests := []struct {
		name    string
		fault   simulator.Fault
		unclear outbox.Unclear
		others  *event.Status // what somebody else sets meanwhile
		end     event.Type
		reason  string
		status  event.Status
		done    int
	}{
		{"it is as asked for: done", done, outbox.Fail, nil, event.ActionConfirmed, "", event.StatusResolved, 1},
		{"it is as it was: not done, and sent again", notDone, outbox.Fail, nil, event.ActionConfirmed, "", event.StatusResolved, 1},
		{"it is another: it may have been done", notDone, outbox.Fail, new(event.StatusPending), event.ActionFailed,
			"the conversation is pending: it may have been done, and changed by somebody else since", event.StatusPending, 0},
		{"it is another: the policy decides", notDone, outbox.Resend, new(event.StatusPending), event.ActionConfirmed, "", event.StatusResolved, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = tt.unclear })
			r.open()
			results := r.watch()
			r.run()
			conversation := r.conversation() // its status comes over the socket
			r.act(send(conversation, "first", "hello"))
			results.wants("first", event.ActionConfirmed, "")
			r.fault(tt.fault)
			r.act(event.Action{ID: "x", Type: event.UpdateStatus, Account: "7", Conversation: conversation, Body: []byte(resolve)})
			if res := results.next(); res.kind != event.ActionSent {
				t.Fatalf("first came %+v", res)
			}
			if tt.others != nil {
				id, err := strconv.ParseInt(conversation, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.sim.SetStatus("7", id, *tt.others); err != nil {
					t.Fatal(err)
				}
			}
			results.wants("x", tt.end, tt.reason)
			if n := r.stats().Actions[string(event.UpdateStatus)]; n != tt.done {
				t.Errorf("it was done %d times", n)
			}
			if got := r.status(conversation); got != tt.status {
				t.Errorf("the conversation is %s", got)
			}
		})
	}
}

func TestMarkAsReadIsSentAgain(t *testing.T) {
	r := looking(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.fault(notDone)
	r.act(event.Action{ID: "x", Type: event.MarkAsRead, Account: "7", Conversation: conversation})
	if res := results.next(); res.kind != event.ActionSent {
		t.Fatalf("first came %+v", res)
	}
	r.clear() // which closes the socket
	if res := results.wants("x", event.ActionConfirmed, ""); res.Attempts < 2 {
		t.Errorf("%d attempts", res.Attempts)
	}
}

func TestAnActionIsTriedSoManyTimes(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Attempts = 3 })
	r.open()
	results := r.watch()
	r.run()
	r.act(event.Action{ID: "x", Type: event.MarkAsRead, Account: "7", Conversation: "99"})
	if res := results.wants("x", event.ActionFailed, "gave up after 3 attempts: unclear: sent, but"); res.Attempts != 3 {
		t.Errorf("%d attempts", res.Attempts)
	}
	if n := len(r.dead("99")); n != 1 {
		t.Errorf("%d dead letters", n)
	}
}

func TestWhatMayHaveBeenDoneDoesNotExpire(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.fault(notDone)
	a := send(conversation, "x", "hello")
	a.Expires = time.Now().Add(600 * time.Millisecond)
	r.act(a)
	if res := results.wants("x", event.ActionConfirmed, ""); res.Attempts != 2 || time.Now().Before(a.Expires) {
		t.Errorf("%d attempts", res.Attempts)
	}
}

func TestAConversationThatTheBackendDoesNotHave(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
	r.open()
	results := r.watch()
	r.run()
	r.act(send("99", "x", "hello"))
	results.wants("x", event.ActionFailed, "the backend has no such conversation")
	if n := r.link.Status().Connections; n != 1 {
		t.Errorf("%d connections: there was nothing that could arrive late", n)
	}
}

func TestWhatCannotBeLookedForIsNotSentAgain(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) {
		o.Unclear = outbox.Resend
		o.Backend = account.New(account.Options{Account: "7", APIURL: "http://no host", Token: func() (secret.Text, error) { return token, nil }})
	})
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.fault(done)
	r.act(send(conversation, "x", "hello"))
	results.wants("x", event.ActionFailed, "it cannot be looked for: ")
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("messages: %q", got)
	}
}

func TestAnEchoThatComesLateConfirms(t *testing.T) {
	r := looking(t, simulator.Options{}, func(o *outbox.Options) { o.Unclear = outbox.Resend })
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.rest.down.Store(true)
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 800 * time.Millisecond})
	r.act(send(conversation, "x", "hello"))
	results.wants("x", event.ActionConfirmed, "")
	if n := r.rest.asked.Load(); n == 0 {
		t.Error("the echo was not late")
	}
	r.rest.down.Store(false)
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("messages: %q", got)
	}
}

func TestWhoWeAreIsLearnedFromAnEcho(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("learned %t", known), func(t *testing.T) {
			r := looking(t, simulator.Options{EchoRef: true}, func(o *outbox.Options) {
				o.Self, o.Confirm = outbox.Self{}, time.Minute
			})
			conversation := r.conversation()
			r.open()
			results := r.watch()
			r.run()
			if known {
				r.act(send(conversation, "first", "hello"))
				results.wants("first", event.ActionConfirmed, "")
			}
			r.fault(done)
			r.act(send(conversation, "x", "ok"))
			r.await("it is done", func(s simulator.Stats) bool { return s.Refs["bot/x"] == 1 })
			colleague := event.Event{
				ID: "7/message.new/50", Type: event.MessageNew, Account: "7", Conversation: conversation, Replayed: true, Time: time.Now(),
				Data: []byte(`{"id":50,"content":"ok","sender_type":"User","sender_id":4}`),
			}
			r.outbox.Claim(&colleague, "")
			if known == (colleague.Action != "") {
				t.Errorf("a colleague's message is that of the action %q", colleague.Action)
			}
			own := event.Event{
				ID: "7/message.new/51", Type: event.MessageNew, Account: "7", Conversation: conversation, Replayed: true, Time: time.Now(),
				Data: []byte(`{"id":51,"content":"ok","sender_type":"User","sender_id":3}`),
			}
			r.outbox.Claim(&own, "")
			if known && own.Action != "x" {
				t.Errorf("our own message is that of the action %q", own.Action)
			}
			results.wants("x", event.ActionConfirmed, "")
		})
	}
}

func TestAMessageOfBeforeIsNoEcho(t *testing.T) {
	tests := []struct {
		name string
		seen bool // a newer message was heard before the action was sent
		ev   event.Event
		echo bool
	}{
		{"an older id", true, event.Event{ID: "7/message.new/40", Time: time.Now()}, false},
		{"a newer id", true, event.Event{ID: "7/message.new/60", Time: time.Now().Add(-time.Hour)}, true},
		{"an older message, nothing known before", false, event.Event{ID: "7/message.new/40", Time: time.Now().Add(-time.Hour)}, false},
		{"a newer message, nothing known before", false, event.Event{ID: "7/message.new/40", Time: time.Now()}, true},
		{"an older message without a number", true, event.Event{ID: "7/message.new/a-b", Time: time.Now().Add(-time.Hour)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := looking(t, simulator.Options{}, func(o *outbox.Options) {
				o.Confirm = time.Minute
				if !tt.echo {
					o.Confirm = 200 * time.Millisecond
				}
			})
			conversation := r.conversation()
			r.open()
			results := r.watch()
			r.run()
			r.rest.down.Store(true)
			r.fault(notDone)
			if tt.seen {
				r.outbox.Claim(&event.Event{ID: "7/message.new/50", Type: event.MessageNew, Conversation: "5"}, "")
			}
			r.act(send(conversation, "x", "ok"))
			if res := results.next(); res.kind != event.ActionSent {
				t.Fatalf("first came %+v", res)
			}
			ev := tt.ev
			ev.Type, ev.Account, ev.Conversation, ev.Replayed = event.MessageNew, "7", conversation, true
			ev.Data = []byte(`{"content":"ok","sender_type":"User","sender_id":3}`)
			r.outbox.Claim(&ev, "")
			if (ev.Action == "x") != tt.echo {
				t.Fatalf("it is that of %q", ev.Action)
			}
			if tt.echo {
				results.wants("x", event.ActionConfirmed, "")
				return
			}
			r.rest.down.Store(false)
			results.wants("x", event.ActionFailed, "unclear")
		})
	}
}
