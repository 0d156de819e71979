package autoresponder

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// message is a customer's; change says what is different about it.
func message(id, content string, change ...func(*event.Event, *event.Message)) event.Event {
	e := event.Event{ID: id, Type: event.MessageNew, Account: "7", Conversation: "42", Time: time.Now()}
	m := event.Message{ID: 1, Content: content, ConversationID: 42, SenderType: event.SenderContact}
	for _, fn := range change {
		fn(&e, &m)
	}
	e.Data, _ = json.Marshal(m) // a Message always can be
	return e
}

func in(conversation string) func(*event.Event, *event.Message) {
	return func(e *event.Event, _ *event.Message) { e.Conversation = conversation }
}

// took lists actions as text, in order.
func took(line *sdktest.Line) []string {
	var list []string
	for _, a := range line.Actions() {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Conversation, a.Type, a.Body)))
	}
	return list
}

func expect(t *testing.T, line *sdktest.Line, want ...string) {
	t.Helper()
	if got := took(line); !slices.Equal(got, want) {
		t.Errorf("actions = %q, want %q", got, want)
	}
}

func deliver(t *testing.T, line *sdktest.Line, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if out := line.Deliver(e); out.Result != sdktest.Ack {
			t.Fatalf("outcome of %s = %+v", e.ID, out)
		}
	}
}

func rules(list string) string { return `{"rules":[` + list + `]}` }

func TestARuleDoesAllThatItSays(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`{"name":"a","then":{"reply":"You said: {{.Message.Content}} ({{.Account}}/{{.Conversation.ID}})","status":"pending","mark_as_read":true}}`))
	deliver(t, line, message("e1", "hi"))
	expect(t, line, "42 start_typing", `42 send_message {"content":"You said: hi (7/42)"}`, "42 stop_typing",
		`42 update_status {"status":2}`, "42 mark_as_read")
}

func TestTypingCanBeLeftOut(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`{"name":"a","then":{"reply":"x","typing":false}}`))
	deliver(t, line, message("e1", "hi"))
	expect(t, line, `42 send_message {"content":"x"}`)
}

func TestAReplyGoesOutWithoutTypingWhereThatIsNotGranted(t *testing.T) {
	p := Plugin()
	p.Actions = []event.ActionType{event.SendMessage} // what the line grants
	line := sdktest.Start(t, p, rules(`{"name":"a","then":{"reply":"x"}}`))
	deliver(t, line, message("e1", "hi"))
	expect(t, line, `42 send_message {"content":"x"}`)
}

func TestAnActionThatIsNotGrantedIsFinal(t *testing.T) {
	p := Plugin()
	p.Actions = []event.ActionType{event.SendMessage}
	line := sdktest.Start(t, p, rules(`{"name":"closer","then":{"status":"resolved"}}`))
	out := line.Deliver(message("e1", "hi"))
	if out.Result != sdktest.Reject || !strings.Contains(out.Reason, "rule closer") || !strings.Contains(out.Reason, "not granted") {
		t.Errorf("outcome = %+v", out)
	}
}

func TestTheFirstRuleThatMatchesAnswers(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`
		{"name":"refund","when":{"keywords":["refund"],"matches":"[0-9]+"},"then":{"reply":"refund","typing":false},"limits":{"once_per_conversation":true}},
		{"name":"number","when":{"matches":"^#[0-9]+$"},"then":{"reply":"number","typing":false}},
		{"name":"edit","when":{"events":["message.updated"]},"then":{"reply":"edit","typing":false}},
		{"name":"rest","when":{"events":["message.new"]},"then":{"reply":"rest","typing":false}}`))
	edit := message("e5", "refund for order 17")
	edit.Type = event.MessageUpdated
	deliver(t, line, message("e1", "A refund for order 17!"), message("e2", "#17"), message("e3", "refund, please"),
		message("e4", "a refund for order 18"), edit)
	expect(t, line, `42 send_message {"content":"refund"}`, `42 send_message {"content":"number"}`,
		`42 send_message {"content":"rest"}`, `42 send_message {"content":"edit"}`)
}

func TestWhomItAnswers(t *testing.T) {
	tests := []struct {
		name   string
		change func(*event.Event, *event.Message)
		want   bool
	}{
		{"a customer", func(*event.Event, *event.Message) {}, true},
		{"not an agent", func(_ *event.Event, m *event.Message) { m.SenderType = "User" }, false},
		{"not a bot", func(_ *event.Event, m *event.Message) { m.SenderType = "AgentBot" }, false},
		{"not a sender that is not told", func(_ *event.Event, m *event.Message) { m.SenderType = "" }, false},
		{"not what another plugin wrote as a customer", func(e *event.Event, _ *event.Message) { e.By = "importer" }, false},
		{"not what the backend notes", func(_ *event.Event, m *event.Message) { m.MessageType = event.MessageActivity }, false},
		{"what was missed for a minute", func(e *event.Event, _ *event.Message) { e.Replayed, e.Time = true, time.Now().Add(-time.Minute) }, true},
		{"not what was missed for longer", func(e *event.Event, _ *event.Message) { e.Replayed, e.Time = true, time.Now().Add(-6*time.Minute) }, false},
		{"what was not missed, however old", func(e *event.Event, _ *event.Message) { e.Time = time.Now().Add(-time.Hour) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := sdktest.Start(t, Plugin(), rules(`{"name":"a","then":{"reply":"x"}}`))
			deliver(t, line, message("e1", "hi", tt.change))
			if got := len(line.Actions()) > 0; got != tt.want {
				t.Errorf("actions = %q", took(line))
			}
		})
	}
}

func conversationNew(t *testing.T, id string, last *event.LastMessage) event.Event {
	t.Helper()
	data, err := json.Marshal(event.Conversation{ID: 42, Contact: event.Contact{Name: "Ada"}, LastMessage: last})
	if err != nil {
		t.Fatal(err)
	}
	return event.Event{ID: id, Type: event.ConversationNew, Account: "7", Conversation: "42", Time: time.Now(), Data: data}
}

func TestANewConversationIsItsMessage(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`{"name":"a","when":{"events":["conversation.new"],"keywords":["hello"]},"then":{"reply":"Hello {{.Contact.Name}}, about {{.Message.Content}}","typing":false}}`))
	deliver(t, line,
		conversationNew(t, "c1", nil),
		conversationNew(t, "c2", &event.LastMessage{Content: "hello", SenderType: "User"}),
		conversationNew(t, "c3", &event.LastMessage{Content: "good-bye", SenderType: "Contact"}),
		conversationNew(t, "c4", &event.LastMessage{Content: "hello", SenderType: "Contact"}))
	expect(t, line, `42 send_message {"content":"Hello Ada, about hello"}`)
}

func TestABlankReplyIsNotSent(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`{"name":"a","then":{"reply":"{{if eq .Message.Content \"hi\"}} hello {{end}}"},"limits":{"once_per_conversation":true}}`))
	deliver(t, line, message("e1", "bye"))
	expect(t, line)
	deliver(t, line, message("e2", "hi")) // the first used no limit
	expect(t, line, "42 start_typing", `42 send_message {"content":"hello"}`, "42 stop_typing")
}

func TestATemplateThatFailsForAMessageIsFinal(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`{"name":"a","then":{"reply":"{{slice .Message.Content 0 5}}"}}`))
	out := line.Deliver(message("e1", "hi"))
	if out.Result != sdktest.Reject || !strings.Contains(out.Reason, "rule a: make reply") {
		t.Errorf("outcome = %+v", out)
	}
	expect(t, line)
}

func TestLimitsSurviveARestart(t *testing.T) {
	const reply = `42 send_message {"content":"x"}`
	tests := []struct {
		name, limits string
		want         []string
	}{
		{"none", `{}`, []string{reply, reply, reply, `43 send_message {"content":"x"}`}},
		{"once per conversation", `{"once_per_conversation":true}`, []string{reply, `43 send_message {"content":"x"}`}},
		{"a cooldown", `{"cooldown":"1h"}`, []string{reply, `43 send_message {"content":"x"}`}},
		{"a cooldown that is over", `{"cooldown":"1ns"}`, []string{reply, reply, reply, `43 send_message {"content":"x"}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := sdktest.Start(t, Plugin(), rules(`{"name":"a","then":{"reply":"x","typing":false},"limits":`+tt.limits+`}`))
			deliver(t, line, message("e1", "hi"), message("e2", "hi"))
			line.Restart()
			deliver(t, line, message("e3", "hi"), message("e4", "hi", in("43")))
			expect(t, line, tt.want...)
		})
	}
}

func TestAnEventThatComesAgainIsNotCutByItsOwnLimit(t *testing.T) {
	for _, limits := range []string{`{"once_per_conversation":true}`, `{"cooldown":"1h"}`} {
		t.Run(limits, func(t *testing.T) {
			config := rules(`{"name":"a","then":{"reply":"x","typing":false,"status":"resolved"},"limits":` + limits + `}`)
			// The first delivery is interrupted between its two actions: the
			// second is not granted.
			p := Plugin()
			p.Actions = []event.ActionType{event.SendMessage}
			broken := sdktest.Start(t, p, config)
			if out := broken.Deliver(message("e1", "hi")); out.Result != sdktest.Reject {
				t.Fatalf("outcome = %+v", out)
			}
			deliver(t, broken, message("e2", "hi")) // cut
			first := broken.Actions()

			whole := sdktest.Start(t, Plugin(), config)
			deliver(t, whole, message("e1", "hi"))
			whole.Restart()
			deliver(t, whole, message("e1", "hi"), message("e2", "hi"))
			expect(t, whole, `42 send_message {"content":"x"}`, `42 update_status {"status":1}`)
			if len(first) != 1 || first[0].ID != whole.Actions()[0].ID {
				t.Errorf("the ids differ: %+v, %+v", first, whole.Actions())
			}
			if broken.Restart(); broken.Deliver(message("e1", "hi")).Result != sdktest.Reject {
				t.Error("the event was cut by its own limit")
			}
		})
	}
}

// keeping is a plugin that stores the text of a message as the use of a limit,
// and then answers where the limit leaves it free.
func keeping(r *rule) sdk.Plugin[struct{}] {
	return sdk.Plugin[struct{}]{
		Name: "keeping", Version: "1", Events: []string{"message.new"}, Actions: []event.ActionType{event.SendMessage},
		Configure: func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
			return []sdk.Feed{{Handlers: sdk.Handlers{OnMessageNew: func(ctx context.Context, d *sdk.Delivery, m event.Message) error {
				if err := h.Put(ctx, limitKey(r.name, d.Event.Account, d.Event.Conversation), []byte(m.Content)); err != nil {
					return err
				}
				free, err := limits{h}.take(ctx, r, d.Event)
				if err != nil || !free {
					return err
				}
				return d.Reply(ctx, "free")
			}}}}, nil
		},
	}
}

func TestTheUseOfALimit(t *testing.T) {
	ago := func(d time.Duration) string { return time.Now().Add(-d).Format(time.RFC3339Nano) }
	once, hourly := Limits{OncePerConversation: true}, Limits{Cooldown: sdk.Duration(time.Hour)}
	tests := []struct {
		name, used string
		limits     Limits
		free       bool
	}{
		{"the same event again", `{"event":"e1","at":"` + ago(23*time.Hour) + `"}`, once, true},
		{"the same event when its actions would be done twice", `{"event":"e1","at":"` + ago(25*time.Hour) + `"}`, once, false},
		{"another event", `{"event":"e0","at":"` + ago(1000*time.Hour) + `"}`, once, false},
		{"within the cooldown", `{"event":"e0","at":"` + ago(59*time.Minute) + `"}`, hourly, false},
		{"after the cooldown", `{"event":"e0","at":"` + ago(61*time.Minute) + `"}`, hourly, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := sdktest.Start(t, keeping(&rule{name: "a", limits: tt.limits}), `{}`)
			deliver(t, line, message("e1", tt.used))
			if free := len(line.Actions()) == 1; free != tt.free {
				t.Errorf("free = %t", free)
			}
		})
	}
	t.Run("that cannot be read is final", func(t *testing.T) {
		out := sdktest.Start(t, keeping(&rule{name: "a", limits: once}), `{}`).Deliver(message("e1", `{`))
		if out.Result != sdktest.Reject || !strings.Contains(out.Reason, "rule a") {
			t.Errorf("outcome = %+v", out)
		}
	})
}

func TestALimitIsTheRulesOwn(t *testing.T) {
	line := sdktest.Start(t, Plugin(), rules(`
		{"name":"a","when":{"keywords":["a"]},"then":{"reply":"a","typing":false},"limits":{"once_per_conversation":true}},
		{"name":"b","when":{"keywords":["b"]},"then":{"reply":"b","typing":false},"limits":{"once_per_conversation":true}}`))
	other := message("e3", "a")
	other.Account = "8"
	deliver(t, line, message("e1", "a"), message("e2", "b"), other)
	expect(t, line, `42 send_message {"content":"a"}`, `42 send_message {"content":"b"}`, `42 send_message {"content":"a"}`)
}
