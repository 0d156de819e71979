package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestEveryEventLandsOnItsSubjectWithItsHeaders(t *testing.T) {
	r := start(t, simulator.Options{})
	heard := make(chan *nats.Msg, 100)
	nc := r.guest()
	for _, subject := range []string{"test.event.>", "test.live.>"} {
		if _, err := nc.ChanSubscribe(subject, heard); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	const at = "2026-01-02T03:04:05.000006Z"
	tests := []struct {
		name, data string
		kind       event.Type
		subject    string
		id         string // how it begins
		time       string // empty: when it was received
	}{
		{"conversation.new", `{"id":42, "created_at":"` + at + `", "x": 1.0}`, event.ConversationNew,
			"test.event.7.42.conversation.new", "7/conversation.new/42", at},
		{"conversation.updated", `{"id":42, "created_at":"` + at + `"}`, event.ConversationUpdated,
			"test.event.7.42.conversation.updated", "7/conversation.updated/42/", ""},
		{"message.new", `{"id":9007199254740993,"conversation_id":42 , "created_at":"` + at + `", "content":"\u00fc ü"}`, event.MessageNew,
			"test.event.7.42.message.new", "7/message.new/9007199254740993", at},
		{"message.updated", `{"id":5,"conversation_id":42, "updated_at":"` + at + `"}`, event.MessageUpdated,
			"test.event.7.42.message.updated", "7/message.updated/5/" + at + "/", at},
		{"typing.start", `{"conversation_id":42,"user_id":1,"is_typing":true}`, event.TypingStart,
			"test.live.7.42.typing.start", "7/typing.start/", ""},
		{"typing.stop", `{"conversation_id":42,"user_id":1,"is_typing":false}`, event.TypingStop,
			"test.live.7.42.typing.stop", "7/typing.stop/", ""},
		{"an unknown type", `{"id":3,"conversation_id":42,"label":"vip"}`, "label.added.twice",
			"test.event.7.42.label.added.twice", "7/label.added.twice/3/", ""},
		{"an unknown type without a conversation", `{}`, "agent.online",
			"test.event.7.-.agent.online", "7/agent.online/", ""},
		{"a type that NATS could not hold", `{"conversation_id":"a.b *"}`, "x. y",
			"test.event.7.a%2Eb%20%2A.x%2E%20y", "7/x. y/", ""},
	}
	for _, tt := range tests { // in turn: the order on the socket is that on NATS, for one conversation
		began := time.Now()
		r.tell(`{"type":"` + string(tt.kind) + `" , "data":` + tt.data + `}`)
		var m *nats.Msg
		select {
		case m = <-heard:
		case <-time.After(patience):
			t.Fatalf("%s: nothing came", tt.name)
		}
		if m.Subject != tt.subject || string(m.Data) != tt.data {
			t.Errorf("%s: on %s came %s", tt.name, m.Subject, m.Data)
		}
		get := m.Header.Get
		if id := get("ce-id"); !strings.HasPrefix(id, tt.id) || !tt.kind.Live() && get(nats.MsgIdHdr) != id {
			t.Errorf("%s: ce-id is %q, Nats-Msg-Id %q, want %s…", tt.name, id, get(nats.MsgIdHdr), tt.id)
		}
		if get("ce-specversion") != "1.0" || get("ce-type") != string(tt.kind) || get("ce-source") != "//"+r.host+"/accounts/7" ||
			get("switchboard-account") != "7" || get("switchboard-by") != "" || get("switchboard-replayed") != "" {
			t.Errorf("%s: headers are %v", tt.name, m.Header)
		}
		stamp, err := time.Parse(time.RFC3339Nano, get("ce-time"))
		switch want, _ := time.Parse(time.RFC3339Nano, tt.time); {
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.time != "" && !stamp.Equal(want):
			t.Errorf("%s: ce-time is %s, want %s", tt.name, stamp, want)
		case tt.time == "" && (stamp.Before(began.Add(-time.Second)) || stamp.After(time.Now().Add(time.Second))):
			t.Errorf("%s: ce-time is %s", tt.name, stamp)
		}
	}
	r.settle()
	in := r.status().Inbound
	if in.Live != 2 || in.Published != uint64(len(tests)-2+1) || in.Received[event.TypingStart] != 1 || in.Received["other"] != 4 || in.Quarantined != 0 {
		t.Errorf("counts are %+v", in)
	}
	if n := r.count("typing.*"); n != 0 {
		t.Errorf("%d typing events are stored", n)
	}
}

func TestWhatIsTheSameIsInTheStreamOnce(t *testing.T) {
	const message, edit = `{"type":"message.new","data":{"id":5,"conversation_id":42,"content":"a"}}`,
		`{"type":"message.updated","data":{"id":5,"conversation_id":42,"updated_at":"2026-01-02T03:04:05Z","content":"b"}}`
	tests := []struct {
		name   string
		frames []string
		kind   event.Type
		want   uint64
	}{
		{"a new message that is told twice", []string{message, message}, event.MessageNew, 1},
		{"two equal changes of a conversation", []string{`{"type":"conversation.updated","data":{"id":42}}`, `{"type":"conversation.updated","data":{"id":42}}`},
			event.ConversationUpdated, 2},
		{"an edit whose white space differs", []string{edit, strings.ReplaceAll(edit, ":", " :\t")}, event.MessageUpdated, 1},
		{"two edits", []string{edit, strings.Replace(edit, `"b"`, `"c"`, 1)}, event.MessageUpdated, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, simulator.Options{})
			for _, f := range tt.frames {
				r.tell(strings.ReplaceAll(f, "03 :\t04 :\t05", "03:04:05"))
			}
			r.settle()
			if n := r.count(tt.kind); n != tt.want {
				t.Errorf("%d are in the stream, want %d", n, tt.want)
			}
			in := r.status().Inbound
			if in.Received[tt.kind] != uint64(len(tt.frames)) || in.Duplicates != uint64(len(tt.frames))-tt.want {
				t.Errorf("counts are %+v", in)
			}
		})
	}
}

func TestWhatCannotBeReadIsKeptInQuarantineAndTheLinkStaysUp(t *testing.T) {
	r := start(t, simulator.Options{})
	frames := []struct{ raw, reason string }{
		{`{"type": "message.new", "data": {`, "not JSON"},
		{`{"data": {"id": 1}}`, `no "type"`},
		{`[1]`, "not a JSON object"},
		{"{\"type\": \"note.new\", \"data\": {\"text\": \"\xff\xfe\"}}", "UTF-8"},
		{`{"type":"message.new","data":{"id":1}}`, "message.new does not say which conversation it belongs to"},
	}
	for _, f := range frames {
		r.tell(f.raw)
	}
	r.settle()
	kept := r.stored("TEST_QUARANTINE")
	if len(kept) != len(frames) {
		t.Fatalf("%d frames are in quarantine", len(kept))
	}
	for i, f := range frames {
		if m := kept[i]; string(m.Data) != f.raw || m.Subject != "test.quarantine.7" || m.Header.Get("switchboard-account") != "7" ||
			!strings.Contains(m.Header.Get("switchboard-reason"), f.reason) {
			t.Errorf("%q is kept on %s with %v, want the reason %q", m.Data, m.Subject, m.Header, f.reason)
		}
	}
	if s := r.status(); s.Inbound.Quarantined != uint64(len(frames)) || s.Link.Connections != 1 || s.Link.State != link.Connected {
		t.Errorf("status = %+v", s)
	}
}

func TestAFrameThatIsTooLargeIsToldInQuarantineAndTheLinkComesBack(t *testing.T) {
	r := start(t, simulator.Options{})
	r.fault(simulator.Fault{Name: simulator.Malformed, Kind: "too-big"})
	r.until("it is connected again", func() bool { return r.status().Link.Connections == 2 })
	r.await("7", "a socket", func(s simulator.Stats) bool { return s.Sockets.Open == 1 && s.Sockets.Opened == 2 })
	r.settle()
	kept := r.stored("TEST_QUARANTINE")
	if len(kept) != 1 || !strings.Contains(kept[0].Header.Get("switchboard-reason"), "larger than 4 MiB") {
		t.Errorf("%d frames are in quarantine", len(kept))
	}
}

func TestAComplaintIsCountedAndNoEvent(t *testing.T) {
	r := start(t, simulator.Options{})
	r.tell(`{"type":"error","data":{"message":"no such conversation"}}`)
	r.tell(`{"type":"pong","data":{}}`)
	r.settle()
	if s := r.status().Inbound; s.Complaints != 1 || s.Published != 1 || len(r.stored("TEST_EVENTS")) != 1 {
		t.Errorf("counts are %+v", s)
	}
	if !strings.Contains(r.log.String(), "no such conversation") {
		t.Error("the log does not show it")
	}
}

func TestTheEchoOfAnActionSaysWhoseItIs(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(fmt.Sprintf("ref echoed %t", echo), func(t *testing.T) {
			r := start(t, simulator.Options{EchoRef: echo})
			id := r.conversation()
			if _, err := r.sim.CustomerWrites("7", id, "hello"); err != nil {
				t.Fatal(err)
			}
			conversation := strconv.FormatInt(id, 10)
			for _, a := range []event.Action{
				{ID: "reply/1", Type: event.SendMessage, Body: []byte(`{"content":"hello"}`)},
				{ID: "resolve", Type: event.UpdateStatus, Body: []byte(`{"status":1}`)},
			} {
				a.Account, a.Conversation = "7", conversation
				if _, err := r.Door().Act(t.Context(), "responder", a); err != nil {
					t.Fatal(err)
				}
			}
			r.until("both are confirmed", func() bool { return r.count(event.ActionConfirmed) == 2 })

			whose := map[string]string{} // by subject; a later message overwrites
			events := map[string]string{}
			for _, m := range r.stored("TEST_EVENTS") {
				whose[m.Subject] = m.Header.Get("switchboard-by") + ":" + m.Header.Get("switchboard-action")
				events[m.Header.Get("switchboard-action")+m.Header.Get("ce-type")] = m.Header.Get("ce-id")
				if m.Header.Get("ce-type") == string(event.ActionConfirmed) {
					var res event.ActionResult
					if err := json.Unmarshal(m.Data, &res); err != nil {
						t.Fatal(err)
					}
					if echo := events[res.ID+string(event.MessageNew)] + events[res.ID+string(event.ConversationUpdated)]; res.Event != echo {
						t.Errorf("%s was confirmed by %q, its echo is %q", res.ID, res.Event, echo)
					}
				}
			}
			p := "test.event.7." + conversation + "."
			for subject, want := range map[string]string{
				p + "conversation.new": ":", p + "message.new": "responder:reply/1", p + "conversation.updated": "responder:resolve",
				p + "action.sent": "responder:resolve", p + "action.confirmed": "responder:resolve",
			} {
				if got, there := whose[subject]; !there || got != want {
					t.Errorf("%s says %q, want %q", subject, got, want)
				}
			}
		})
	}
}

// TestOrderAndCompleteness is the property that the bridge is for: whatever
// the interleaving, what was read of the socket is in the stream, in order for
// each conversation, also where the socket ends again and again.
func TestOrderAndCompleteness(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			const conversations, writes, drops, acted = 20, 900, 6, 30
			r := start(t, simulator.Options{})
			random := rand.New(rand.NewPCG(seed, 0))
			var ids []int64
			for range conversations {
				ids = append(ids, r.conversation())
			}
			act := func(n int, conversation int64) { // others write through the bridge meanwhile
				_, err := r.Door().Act(t.Context(), "bot", event.Action{
					ID: strconv.Itoa(n), Type: event.SendMessage, Account: "7", Conversation: strconv.FormatInt(conversation, 10),
					Body: fmt.Appendf(nil, `{"content":"action %d"}`, n),
				})
				if err != nil {
					t.Error(err)
				}
			}
			for n := range writes {
				id := ids[random.IntN(conversations)]
				message, err := r.sim.CustomerWrites("7", id, fmt.Sprint(n))
				if err == nil && random.IntN(4) == 0 {
					err = r.sim.CustomerEdits("7", message, fmt.Sprint(n, " edited"))
				}
				if err == nil && random.IntN(4) == 0 {
					err = r.sim.SetStatus("7", id, event.Status(random.IntN(3)))
				}
				if err != nil {
					t.Fatal(err)
				}
				if n%(writes/acted) == 0 {
					act(n, ids[random.IntN(conversations)])
				}
				if n%(writes/drops) == writes/drops-1 {
					r.fault(simulator.Fault{Name: simulator.Drop})
					r.await("7", "a socket", func(s simulator.Stats) bool { return s.Sockets.Open == 1 })
				}
			}
			ids = append(ids, r.conversation()) // in the others an action may wait for what a drop has lost
			r.until("it is connected", func() bool { return r.status().Link.State == link.Connected })
			act(writes, ids[conversations])
			r.until("everything that the backend has is in the stream, also what it said while there was no socket", func() bool {
				stats, err := r.sim.Stats("7")
				return err == nil && r.count(event.MessageNew) == uint64(stats.Messages) && r.count(event.ConversationNew) == uint64(len(ids))
			})
			r.until("an action is done", func() bool { return r.count(event.ActionConfirmed) > 0 })
			r.settle()
			if err := r.Link("7").Disconnect(t.Context()); err != nil { // the other actions wait
				t.Fatal(err)
			}
			r.until("it is away", func() bool { return r.status().Link.State == link.Disconnected })
			r.idle()

			in := r.status().Inbound
			if in.Lost+in.Quarantined != 0 || in.Replayed == 0 || r.status().Link.Connections < drops+1 {
				t.Errorf("status = %+v", r.status())
			}
			for _, kind := range []event.Type{event.ConversationNew, event.ConversationUpdated, event.MessageNew, event.MessageUpdated} {
				if n := r.count(kind); n > in.Received[kind] || n == 0 {
					t.Errorf("%d of %d %s are in the stream", n, in.Received[kind], kind)
				}
			}

			newest, changed, done := map[string]int64{}, map[string]time.Time{}, map[string]int{}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var markers uint64
			err := r.bus.Tail(ctx, bus.TailSpec{Account: "7", Since: time.Now().Add(-time.Hour)}, func(e event.Event) error {
				switch e.Type {
				case marker:
					if markers++; markers == r.count(marker) {
						cancel()
					}
				case event.MessageNew, event.MessageUpdated:
					v, err := e.Decode()
					if err != nil {
						return err
					}
					m := v.(event.Message)
					if e.Type == event.MessageNew {
						// Order holds among what the socket brought, and among what was found.
						line := fmt.Sprint(e.Conversation, e.Replayed)
						if m.ID <= newest[line] {
							return fmt.Errorf("in conversation %s message %d came after %d", e.Conversation, m.ID, newest[line])
						}
						newest[line] = m.ID
					}
					if !e.Replayed && !m.UpdatedAt.After(changed[e.Conversation]) { // the simulator's times are all different
						return fmt.Errorf("in conversation %s %s of %s came after one of %s", e.Conversation, e.Type, m.UpdatedAt, changed[e.Conversation])
					}
					if !e.Replayed {
						changed[e.Conversation] = m.UpdatedAt
					}
					if e.By == "" {
						return nil
					}
					n, err := strconv.Atoi(e.Action)
					if err != nil || m.Content != "action "+e.Action || n < done[e.Conversation] {
						return fmt.Errorf("in conversation %s action %s (%q) came after %d", e.Conversation, e.Action, m.Content, done[e.Conversation])
					}
					done[e.Conversation] = n
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if len(newest) < conversations || len(done) == 0 {
				t.Errorf("messages of %d conversations, %d with actions", len(newest), len(done))
			}
			r.await("7", "every action was written once at most", func(s simulator.Stats) bool { return len(s.Doubles()) == 0 })
		})
	}
}

func TestAccountsAreApart(t *testing.T) {
	r := start(t, simulator.Options{})
	if err := r.sim.SetFault(simulator.Fault{Account: "8", Name: simulator.Restart, Duration: time.Hour}); err != nil {
		t.Fatal(err)
	}
	id := r.conversation()
	if _, err := r.Door().Act(t.Context(), "bot", event.Action{ID: "x", Type: event.MarkAsRead, Account: "7", Conversation: strconv.FormatInt(id, 10)}); err != nil {
		t.Fatal(err)
	}
	r.until("it is confirmed", func() bool { return r.count(event.ActionConfirmed) == 1 })
	if n, err := r.bus.Count(t.Context(), "8", "*"); err != nil || n != 0 {
		t.Errorf("the other account has %d events, %v", n, err)
	}
	all := r.Status()
	if len(all) != 2 || all[0].Account != "7" || all[1].Account != "8" || all[0].Link.State != link.Connected || all[1].Link.State == link.Connected {
		t.Errorf("status = %+v", all)
	}
	if r.Link("7") == nil || r.Link("8") == nil || r.Link("9") != nil {
		t.Error("links are not found by their account's name")
	}
	if err := r.Link("7").Disconnect(t.Context()); err != nil {
		t.Error(err)
	}
	r.until("it is away", func() bool { return r.status().Link.State == link.Disconnected })
}

func TestRunEndsAfterWhatIsUnderWay(t *testing.T) {
	r := start(t, simulator.Options{})
	id := strconv.FormatInt(r.conversation(), 10)
	if _, err := r.Door().Act(t.Context(), "bot", event.Action{Type: event.StartTyping, Account: "7", Conversation: id}); err != nil {
		t.Fatal(err)
	}
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 300 * time.Millisecond})
	if _, err := r.Door().Act(t.Context(), "bot", event.Action{ID: "x", Type: event.MarkAsRead, Account: "7", Conversation: id}); err != nil {
		t.Fatal(err)
	}
	r.until("it was sent", func() bool { return r.count(event.ActionSent) == 1 })
	if err := r.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if n := r.count(event.ActionConfirmed); n != 1 {
		t.Error("the action under way was not confirmed")
	}
	r.await("7", "typing was stopped", func(s simulator.Stats) bool { return s.Actions[string(event.StopTyping)] == 1 && s.Sockets.Open == 0 })
	for _, s := range r.Status() {
		if s.Link.State != link.Disconnected {
			t.Errorf("status = %+v", s)
		}
	}
}

func TestRunEndsWithTheErrorOfAPart(t *testing.T) {
	r := start(t, simulator.Options{})
	if _, err := r.sim.OpenConversation("8", "Ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Door().Act(t.Context(), "bot", event.Action{ID: "x", Type: event.MarkAsRead, Account: "8", Conversation: "1"}); err != nil {
		t.Fatal(err)
	}
	r.until("the outbox is at work", func() bool { return r.Status()[1].Outbox.Confirmed == 1 })
	js, err := jetstream.New(r.guest())
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), "TEST_ACTIONS", "outbox_8"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.over:
	case <-time.After(patience):
		t.Fatal("Run goes on")
	}
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "account 8") {
		t.Errorf("Run returned %v", err)
	}
}

func TestDebugShowsFramesAndActionsWithoutSecrets(t *testing.T) {
	r := start(t, simulator.Options{}, func(a *bridge.Account) {
		a.Debug = true
		a.Redact = func(s string) string { return secret.Scrub(s, token) }
	})
	id := strconv.FormatInt(r.conversation(), 10)
	if _, err := r.sim.CustomerWrites("7", 1, "the token is "+token.Reveal()); err != nil {
		t.Fatal(err)
	}
	a := event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: id, Body: []byte(`{"content":"is it ` + token.Reveal() + `?"}`)}
	if _, err := r.Door().Act(t.Context(), "bot", a); err != nil {
		t.Fatal(err)
	}
	r.until("it is confirmed", func() bool { return r.count(event.ActionConfirmed) == 1 })
	log := r.log.String()
	for _, want := range []string{"the token is [redacted]", "send_message to " + id, "is it [redacted]?"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not show %q", want)
		}
	}
	if lines := slices.DeleteFunc(strings.Split(log, "\n"), func(l string) bool { return !strings.Contains(l, token.Reveal()) }); len(lines) > 0 {
		t.Errorf("the log shows the token: %q", lines)
	}
}
