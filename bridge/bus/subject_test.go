package bus

import (
	"testing"

	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestTokensTellEveryTextApart(t *testing.T) {
	seen := map[string]string{}
	for _, s := range []string{"", "-", "a", "a.b", "a%2Eb", "a b", "*", ">", "%", "%25", "ü", "\x00", "7", "a-b"} {
		tok := token(s)
		if other, ok := seen[tok]; ok {
			t.Errorf("%q and %q are both %q", s, other, tok)
		}
		seen[tok] = s
		if back, err := untoken(tok); err != nil || back != s {
			t.Errorf("untoken(token(%q)) = %q, %v", s, back, err)
		}
	}
}

func TestSubjects(t *testing.T) {
	s := subjects{"sb"}
	tests := []struct{ name, got, want string }{
		{"an event", s.event(event.Event{Account: "7", Conversation: "42", Type: event.MessageNew}), "sb.event.7.42.message.new"},
		{"an event without conversation", s.event(event.Event{Account: "7", Type: "label.added"}), "sb.event.7.-.label.added"},
		{"typing", s.event(event.Event{Account: "7", Conversation: "42", Type: event.TypingStart}), "sb.live.7.42.typing.start"},
		{"a type that is no token", s.event(event.Event{Account: "7", Conversation: "42", Type: "a..b*"}), "sb.event.7.42.a%2E%2Eb%2A"},
		{"all of a kind", s.events("7", "", "message.*"), "sb.event.7.*.message.>"},
		{"all of an account", s.events("7", "", "*"), "sb.event.7.*.>"},
		{"everything", s.events("", "", "*"), "sb.event.*.*.>"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("a.b")
	f.Add("%")
	f.Fuzz(func(t *testing.T, s string) {
		tok := token(s)
		if back, err := untoken(tok); err != nil || back != s {
			t.Errorf("untoken(token(%q)) = %q, %v", s, back, err)
		}
		for i := range len(tok) {
			if c := tok[i]; c <= ' ' || c == '.' || c == '*' || c == '>' || c == 0x7f {
				t.Errorf("token(%q) = %q", s, tok)
			}
		}
	})
}
