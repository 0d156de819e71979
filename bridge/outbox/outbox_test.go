package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAnAcceptedActionIsInTheQueueWhateverHappensToTheBridge(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open() // no link, no outbox: nothing but the door
	for _, text := range numbers(3) {
		if r.act(send(conversation, text, text)) {
			t.Errorf("%s is a duplicate", text)
		}
	}
	if s := r.outbox.Status(); s.Accepted != 3 || s.Sent != 0 {
		t.Errorf("status = %+v", s)
	}
	r.stop()

	r.open()
	results := r.watch()
	r.run()
	for _, text := range numbers(3) {
		results.wants(text, event.ActionConfirmed, "")
	}
	if got := r.contents(conversation); !slices.Equal(got, numbers(3)) {
		t.Errorf("messages: %q", got)
	}
}

func TestAnActionIsConfirmedByItsEcho(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(fmt.Sprintf("ref echoed %t", echo), func(t *testing.T) {
			r := start(t, simulator.Options{EchoRef: echo}, nil)
			results, conversation := r.watch(), r.conversation()
			actions := []struct {
				event.Action
				echo event.Type
			}{
				{send(conversation, "message", " line\r\nline … <b> \n"), event.MessageNew},
				{event.Action{ID: "status", Type: event.UpdateStatus, Body: []byte(`{"status":1}`)}, event.ConversationUpdated},
				{event.Action{ID: "read", Type: event.MarkAsRead}, event.ConversationUpdated},
			}
			for _, a := range actions {
				a.Account, a.Conversation = "7", conversation
				r.act(a.Action)
				if res := results.next(); res.kind != event.ActionSent || res.ID != a.ID || res.Attempts != 1 || res.By != sender {
					t.Fatalf("first came %+v", res)
				}
				res := results.next()
				if res.kind != event.ActionConfirmed || res.ID != a.ID || res.Attempts != 1 || res.Type != a.Type || !strings.HasPrefix(res.Event, "7/"+string(a.echo)+"/") {
					t.Fatalf("then came %+v", res)
				}
				if got := r.claimed(res.Event); got != sender+"/"+a.ID {
					t.Errorf("the echo is that of %q", got)
				}
				if res.id != "7/action.confirmed/"+sender+"/"+a.ID {
					t.Errorf("the event has the id %s", res.id)
				}
			}
			r.counts(outbox.Status{Accepted: 3, Sent: 3, Confirmed: 3})
		})
	}
}

func TestTwoEqualTextsAreTwoActions(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(fmt.Sprintf("ref echoed %t", echo), func(t *testing.T) {
			r := start(t, simulator.Options{EchoRef: echo}, nil)
			results, conversation := r.watch(), r.conversation()
			r.act(send(conversation, "1", "ok"))
			r.act(send(conversation, "2", "ok"))
			one, two := results.wants("1", event.ActionConfirmed, ""), results.wants("2", event.ActionConfirmed, "")
			if one.Event == two.Event {
				t.Errorf("%s confirmed both", one.Event)
			}
			if got := r.contents(conversation); !slices.Equal(got, []string{"ok", "ok"}) {
				t.Errorf("messages: %q", got)
			}
		})
	}
}

func TestAnEchoThatComesTwiceConfirmsOneAction(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	r.fault(simulator.Fault{Name: simulator.Duplicate})
	r.fault(simulator.Fault{Name: simulator.Slow}) // so that the second copy comes when the second action waits
	r.act(send(conversation, "1", "ok"))
	r.act(send(conversation, "2", "ok"))
	one, two := results.wants("1", event.ActionConfirmed, ""), results.wants("2", event.ActionConfirmed, "")
	if one.Event == two.Event {
		t.Errorf("%s confirmed both", one.Event)
	}
}

func TestWhatCountsAsAnEcho(t *testing.T) {
	message := func(more string) string {
		return `{"type":"message.new","data":{"id":50,"conversation_id":99,"message_type":1,` + more + `}}`
	}
	tests := []struct {
		name      string
		self      outbox.Self
		echo      string
		confirmed bool
	}{
		{"our own message, its white space and line ends normalised", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), true},
		{"a contact's message of the same text", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"Contact","sender_id":3`), false},
		{"another user's message of the same text", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User","sender_id":4`), false},
		{"a message of nobody", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User"`), false},
		{"our message of another text", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello there","sender_type":"User","sender_id":3`), false},
		{"our message in another conversation", outbox.Self{SenderType: "User", SenderID: 3},
			strings.Replace(message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), "99", "98", 1), false},
		{"an edit", outbox.Self{SenderType: "User", SenderID: 3},
			strings.Replace(message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), "message.new", "message.updated", 1), false},
		{"any user's message, where it is not known who we are", outbox.Self{},
			message(`"content":"hello\nthere","sender_type":"AgentBot","sender_id":4`), true},
		{"a contact's message, where it is not known who we are", outbox.Self{},
			message(`"content":"hello\nthere","sender_type":"Contact","sender_id":4`), false},
		{"our ref, whatever the text is", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"moderated","sender_type":"User","sender_id":4,"client_ref":"bot/id"`), true},
		{"another's ref", outbox.Self{SenderType: "User", SenderID: 3},
			message(`"content":"hello\nthere","sender_type":"User","sender_id":3,"client_ref":"bot/other"`), false},
		{"our text without a ref, where the backend echoes refs", outbox.Self{SenderType: "User", SenderID: 3},
			`{"type":"note.new","data":{"client_ref":"x"}}` + "\x00" + message(`"content":"hello\nthere","sender_type":"User","sender_id":3`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, simulator.Options{}, func(o *outbox.Options) {
				if o.Self = tt.self; !tt.confirmed {
					o.Confirm = 250 * time.Millisecond
				}
			})
			results := r.watch()
			r.act(send("99", "id", "  hello\r\nthere ")) // the backend has no such conversation, and says nothing of it
			if res := results.next(); res.kind != event.ActionSent {
				t.Fatalf("first came %+v", res)
			}
			for raw := range strings.SplitSeq(tt.echo, "\x00") {
				if err := r.sim.Broadcast("7", []byte(raw)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.confirmed {
				results.wants("id", event.ActionConfirmed, "")
			} else {
				results.wants("id", event.ActionFailed, "unclear")
			}
		})
	}
}

func TestAnActionThatIsNotEchoedFailsAndIsADeadLetter(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Confirm = 500 * time.Millisecond })
	results := r.watch()
	r.act(send("99", "lost", "hello"))
	results.wants("lost", event.ActionFailed, "unclear: sent, but the backend did not echo it within 500ms; meanwhile it complained: conversation 99")
	letters := r.dead("99")
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	h := letters[0].Header
	if string(letters[0].Data) != `{"content":"hello"}` || h.Get("switchboard-action") != "lost" || h.Get("switchboard-by") != sender ||
		!strings.HasPrefix(h.Get("switchboard-reason"), "unclear: sent") || h.Get("switchboard-attempts") != "1" {
		t.Errorf("the dead letter is %q with %v", letters[0].Data, h)
	}
	r.counts(outbox.Status{Accepted: 1, Sent: 1, Failed: 1})
}

func TestAnImpossibleActionFailsAtOnceAndIsADeadLetter(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results := r.watch()
	r.act(send("not-a-number", "x", "hello"))
	if res := results.next(); res.kind != event.ActionFailed || res.ID != "x" || !strings.Contains(res.Reason, "not a number") || res.Attempts != 0 {
		t.Errorf("got %+v", res)
	}
	if n := len(r.dead("not-a-number")); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	conversation := r.conversation()
	r.act(send(conversation, "y", "hello"))
	results.wants("y", event.ActionConfirmed, "")
}

func TestAnIDIsDoneOnceForEachSender(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	if r.act(send(conversation, "x", "hello")) {
		t.Error("the first is a duplicate")
	}
	results.wants("x", event.ActionConfirmed, "")
	if !r.act(send(conversation, "x", "hello")) {
		t.Error("the second is no duplicate")
	}
	if _, err := r.door.Act(t.Context(), sender, send(conversation, "x", "hello again")); !errors.Is(err, outbox.ErrKeyReused) {
		t.Errorf("another action under its id: %v", err)
	}
	if duplicate, err := r.door.Act(t.Context(), "another", send(conversation, "x", "from another")); err != nil || duplicate {
		t.Errorf("another sender's: duplicate %t, %v", duplicate, err)
	}
	if res := results.wants("x", event.ActionConfirmed, ""); res.By != "another" {
		t.Errorf("by %s", res.By)
	}
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello", "from another"}) {
		t.Errorf("messages: %q", got)
	}
	if s := r.stats(); s.Refs["bot/x"] != 1 || s.Refs["another/x"] != 1 || r.outbox.Status().Duplicates != 1 {
		t.Errorf("refs: %v, status %+v", s.Refs, r.outbox.Status())
	}
}

func TestAnIDIsRememberedOverARestart(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	r.act(send(conversation, "x", "hello"))
	first := results.wants("x", event.ActionConfirmed, "")
	r.stop()

	// A work queue forgets what is done, and with it the id; the ledger does not.
	r.open()
	results = r.watch()
	r.run()
	if !r.act(send(conversation, "x", "hello")) {
		t.Error("it was accepted twice")
	}
	if _, err := r.door.Act(t.Context(), sender, send(conversation, "x", "hello again")); !errors.Is(err, outbox.ErrKeyReused) {
		t.Errorf("another action under its id: %v", err)
	}
	r.act(send(conversation, "y", "after it"))
	results.wants("y", event.ActionConfirmed, "")
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello", "after it"}) {
		t.Errorf("messages: %q", got)
	}
	n, err := r.bus.Count(t.Context(), "7", event.Pattern(event.ActionConfirmed))
	if err != nil || n != 2 {
		t.Errorf("%d actions were confirmed, %v; the first was %s", n, err, first.id)
	}
	r.counts(outbox.Status{Accepted: 1, Duplicates: 1, Refused: 1, Sent: 1, Confirmed: 1})
}

func TestWhatTheLedgerSaysDecidesWhatHappensAfterACrash(t *testing.T) {
	tests := []struct {
		name, entry string
		end         event.Type
		reason      string
		sent        int
		dead        int
	}{
		{"accepted: it is sent", `{"state":"accepted","attempts":0}`, event.ActionConfirmed, "", 1, 0},
		{"sending: it is unclear and not sent again", `{"state":"sending","attempts":1}`, event.ActionFailed, "unclear", 0, 1},
		{"confirmed: it is told", `{"state":"action.confirmed","attempts":1,"event":"e"}`, event.ActionConfirmed, "", 0, 0},
		{"failed: it is told and buried", `{"state":"action.failed","attempts":1,"reason":"because"}`, event.ActionFailed, "because", 0, 1},
		{"expired: it is told", `{"state":"action.expired","attempts":0,"reason":"late"}`, event.ActionExpired, "late", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := prepare(t, simulator.Options{}, nil)
			conversation := r.conversation()
			r.open()
			r.act(send(conversation, "x", "hello"))
			if err := r.bus.WriteLedger(t.Context(), "7", sender, "x", []byte(tt.entry)); err != nil {
				t.Fatal(err)
			}
			r.act(send(conversation, "y", "after it"))
			results := r.watch()
			r.run()
			if res := results.wants("x", tt.end, tt.reason); res.Attempts > 1 {
				t.Errorf("%d attempts", res.Attempts)
			}
			results.wants("y", event.ActionConfirmed, "")
			if s := r.stats(); s.Refs["bot/x"] != tt.sent || s.Refs["bot/y"] != 1 {
				t.Errorf("the backend did %v", s.Refs)
			}
			if n := len(r.dead(conversation)); n != tt.dead {
				t.Errorf("%d dead letters", n)
			}
			r.stop()

			r.open() // nothing is in the queue any more
			results = r.watch()
			r.run()
			r.act(send(conversation, "z", "later"))
			results.wants("z", event.ActionConfirmed, "")
		})
	}
}
