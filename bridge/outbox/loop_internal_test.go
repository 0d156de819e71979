package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// TestWhatIsALoop plays a conversation: "a" to "c" are bots, ">" is what a
// person writes, and what is refused is in capitals. A number is how many
// seconds pass.
func TestWhatIsALoop(t *testing.T) {
	tests := []struct{ name, said string }{
		{"two bots that answer each other", "a b a b A A A"},
		{"one that talks alone", "a a a a a a a a"},
		{"the first of many in a row is the turn", "a b b b a a b b A A"},
		{"a third does not help", "a b c a B C"},
		{"a person in between", "a b a > b a b > a b a"},
		{"a person ends what was cut", "a b a b A > a b a b A"},
		{"turns of long ago do not count", "a b a 301 b a b a B"},
		{"turns fall out of the time one by one", "a b 200 a 200 b a B"},
		{"what is cut stays so while they go on", "a b a b A 200 A 200 b 200 A"},
		{"what is cut ends when all are silent", "a b a b A 301 a b a b A"},
		{"who spoke last may go on", "a b a b A b b A b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			g := newGuard(Options{
				Account: "7", Loop: Loop{Turns: 3}, Log: slog.New(slog.NewTextHandler(&log, nil)),
			}, newEchoes("7", Self{"User", 3}))
			now, got, refused := time.Now(), []string{}, 0
			for i, word := range strings.Fields(tt.said) {
				is := word
				var seconds int
				switch n, _ := fmt.Sscan(word, &seconds); {
				case n == 1:
					now = now.Add(time.Duration(seconds) * time.Second)
				case word == ">":
					g.person("1")
				default:
					is = strings.ToLower(word)
					err := g.admit(is, event.Action{ID: fmt.Sprint(i), Type: event.SendMessage, Conversation: "1"}, now)
					if err != nil {
						is, refused = strings.ToUpper(is), refused+1
					}
					if err != nil && !errors.Is(err, ErrLoop) {
						t.Error(err)
					}
				}
				got = append(got, is)
			}
			if is := strings.Join(got, " "); is != tt.said {
				t.Errorf("got  %s\nwant %s", is, tt.said)
			}
			if int(g.cuts.Load()) != refused || (refused > 0) != strings.Contains(log.String(), "the chain is cut") {
				t.Errorf("%d are counted; the log: %s", g.cuts.Load(), log.String())
			}
		})
	}
}

func TestWhatIsNoTurn(t *testing.T) {
	g := newGuard(Options{Account: "7", Loop: Loop{Turns: 1}, Log: slog.New(slog.DiscardHandler)}, newEchoes("7", Self{"User", 3}))
	for i := range 20 {
		sender := []string{"a", "b"}[i%2]
		for _, a := range []event.Action{
			{Type: event.UpdateStatus, Conversation: "1"}, {Type: event.MarkAsRead, Conversation: "1"},
			{Type: event.SendMessage, Conversation: fmt.Sprint(i)},
		} {
			if err := g.admit(sender, a, time.Now()); err != nil {
				t.Errorf("%+v: %v", a, err)
			}
		}
	}
	off := newGuard(Options{Account: "7", Loop: Loop{Turns: -1}, Log: slog.New(slog.DiscardHandler)}, newEchoes("7", Self{}))
	by := newGuard(Options{Account: "7", Loop: Loop{Turns: 1}, Log: slog.New(slog.DiscardHandler)}, newEchoes("7", Self{}))
	for i := range 40 {
		if err := off.admit([]string{"a", "b"}[i%2], event.Action{Type: event.SendMessage, Conversation: "1"}, time.Now()); err != nil {
			t.Errorf("without a guard: %v", err)
		}
		if err := by.admit([]string{"a", Operator}[i%2], event.Action{Type: event.SendMessage, Conversation: "1"}, time.Now()); err != nil {
			t.Errorf("with the operator: %v", err)
		}
	}
}

func TestWhoIsAPerson(t *testing.T) {
	at := time.Now()
	message := func(change func(*event.Event), data string) event.Event {
		ev := event.Event{ID: "7/message.new/5", Type: event.MessageNew, Account: "7", Conversation: "1", Time: at, Data: []byte(data)}
		if change != nil {
			change(&ev)
		}
		return ev
	}
	tests := []struct {
		name   string
		ev     event.Event
		person bool
	}{
		{"a customer", message(nil, `{"sender_type":"Contact","sender_id":1}`), true},
		{"an agent", message(nil, `{"sender_type":"User","sender_id":9,"message_type":1}`), true},
		{"an agent that writes as we do", message(nil, `{"sender_type":"User","sender_id":3,"message_type":1}`), false},
		{"another's bot", message(nil, `{"sender_type":"AgentBot","sender_id":9,"message_type":1}`), false},
		{"nobody", message(nil, `{"message_type":2}`), false},
		{"an activity of an agent", message(nil, `{"sender_type":"User","sender_id":9,"message_type":2}`), false},
		{"what cannot be read", message(nil, `[`), false},
		{"an echo", message(func(e *event.Event) { e.By = "a" }, `{"sender_type":"User","sender_id":9}`), false},
		{"a change", message(func(e *event.Event) { e.Type = event.MessageUpdated }, `{"sender_type":"Contact"}`), false},
		{"in another conversation", message(func(e *event.Event) { e.Conversation = "2" }, `{"sender_type":"Contact"}`), false},
		{"told a little late", message(func(e *event.Event) { e.Replayed = true }, `{"sender_type":"Contact"}`), true},
		{"told long after", message(func(e *event.Event) { e.Replayed, e.Time = true, at.Add(-time.Hour) }, `{"sender_type":"Contact"}`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEchoes("7", Self{"User", 3})
			g := newGuard(Options{Account: "7", Loop: Loop{Turns: 1}, Log: slog.New(slog.DiscardHandler)}, e)
			say := func(sender string) error {
				return g.admit(sender, event.Action{Type: event.SendMessage, Conversation: "1"}, at)
			}
			if say("a") != nil || say("b") != nil || say("a") == nil {
				t.Fatal("there is no guard")
			}
			g.heard(tt.ev, e.mayBeOurs)
			if got := say("a") == nil; got != tt.person {
				t.Errorf("a person: %t, want %t", got, tt.person)
			}
		})
	}
}

func TestAnAnswerToOneOfOursIsATurn(t *testing.T) {
	e := newEchoes("7", Self{"User", 3})
	e.claimed.add("7/message.new/5", owner{sender: "a"})
	g := newGuard(Options{Account: "7", Loop: Loop{Turns: 1}, Log: slog.New(slog.DiscardHandler)}, e)
	ids := []struct {
		id   string
		turn bool
	}{
		{"7/message.new/5/default/1", true}, {"bot-7/message.new/5", true}, {"7/message.new/5", true},
		{"7/message.new/55/default/1", false}, {"7/message.new/4/default/1", false}, {"5", false}, {"7/message.new/", false},
	}
	for _, tt := range ids {
		g.person("1")
		for n := range 3 {
			err := g.admit("a", event.Action{ID: tt.id, Type: event.SendMessage, Conversation: "1"}, time.Now())
			if (err != nil) != (tt.turn && n > 0) {
				t.Errorf("%q, the %d. time: %v", tt.id, n+1, err)
			}
		}
	}
}
