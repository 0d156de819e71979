package event_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestPatternCovers(t *testing.T) {
	tests := []struct {
		name           string
		pattern, other event.Pattern
		want           bool
	}{
		{"everything covers a type", "*", "message.new", true},
		{"everything covers a kind", "*", "message.*", true},
		{"everything covers itself", "*", "*", true},
		{"a kind covers its types", "message.*", "message.new", true},
		{"a kind covers itself", "message.*", "message.*", true},
		{"a kind covers what is deeper", "message.*", "message.reaction.new", true},
		{"a kind covers a kind below it", "message.*", "message.reaction.*", true},
		{"a type covers itself", "message.new", "message.new", true},
		{"a type covers no other", "message.new", "message.updated", false},
		{"a type covers none that begins like it", "message.new", "message.newer", false},
		{"a type covers no kind", "message.new", "message.*", false},
		{"a kind does not cover everything", "message.*", "*", false},
		{"a kind does not cover another", "message.*", "conversation.new", false},
		{"a kind does not cover one that begins like it", "message.*", "messages.new", false},
		{"a kind does not cover its own name", "message.*", "message", false},
		{"a star is no wildcard within a word", "mess*", "message.new", false},
		{"nothing covers nothing but itself", "", "message.new", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.pattern.Covers(tt.other); got != tt.want {
				t.Errorf("%q covers %q: %t", tt.pattern, tt.other, got)
			}
			if !strings.HasSuffix(string(tt.other), "*") {
				if got := tt.pattern.Matches(event.Type(tt.other)); got != tt.want {
					t.Errorf("%q matches %q: %t", tt.pattern, tt.other, got)
				}
			}
		})
	}
}

func TestIntersect(t *testing.T) {
	tests := []struct{ name, granted, wanted, want string }{
		{"the narrower of two", "message.*", "message.new", "message.new"},
		{"whichever it is", "message.new", "*", "message.new"},
		{"of each kind", "message.* conversation.new", "*", "message.* conversation.new"},
		{"nothing in common", "message.*", "conversation.*", ""},
		{"nothing granted", "", "*", ""},
		{"nothing wanted", "*", "", ""},
		{"each once", "* message.*", "message.new message.* message.new", "message.*"},
		{"the wider swallows the narrower, whichever comes first", "message.new message.updated *", "message.*", "message.*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := func(s string) []event.Pattern { return event.Patterns(strings.Fields(s)) }
			if got := event.Intersect(list(tt.granted), list(tt.wanted)); !slices.Equal(got, list(tt.want)) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A type matches the intersection if and only if it matches both lists, and
// the intersection says nothing twice.
func TestIntersectSelectsWhatBothSelect(t *testing.T) {
	patterns := event.Patterns([]string{"*", "a.*", "b.*", "a.a.*", "a.b.*", "a.a", "a.b", "b.a", "a.a.a", "a.b.a", "a", "ab.*", "ab.a", "a*", "", "."})
	types := []event.Type{"a", "b", "a.a", "a.b", "b.a", "b.c", "a.a.a", "a.b.a", "a.b.c.d", "ab.a", "a.", "a*", "", "."}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func() []event.Pattern {
		list := make([]event.Pattern, random.IntN(5))
		for i := range list {
			list[i] = patterns[random.IntN(len(patterns))]
		}
		return list
	}
	matches := func(list []event.Pattern, t event.Type) bool {
		return slices.ContainsFunc(list, func(p event.Pattern) bool { return p.Matches(t) })
	}
	for range 20_000 {
		a, b := pick(), pick()
		both := event.Intersect(a, b)
		for _, typ := range types {
			if got, want := matches(both, typ), matches(a, typ) && matches(b, typ); got != want {
				t.Fatalf("Intersect(%q, %q) = %q matches %q: %t, want %t", a, b, both, typ, got, want)
			}
		}
		for i, p := range both {
			for j, q := range both {
				if i != j && p.Covers(q) {
					t.Fatalf("Intersect(%q, %q) = %q: %q covers %q", a, b, both, p, q)
				}
			}
		}
	}
}
