package link

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
)

func frames(list []string) (all []connectors.Frame) {
	for _, s := range list {
		all = append(all, connectors.Frame{Raw: []byte(s)})
	}
	return all
}

// both gives what a pair of connections carries, whose record begins with the
// old one's first frame, to gates, and returns what is given. Of the new one so
// much is read after the switch.
func both(t *testing.T, old, fresh []string, after int) []string {
	t.Helper()
	var given []string
	give := func(_ context.Context, f connectors.Frame) error {
		given = append(given, string(f.Raw))
		return nil
	}
	a, b := newGate(open, give), newGate(keeping, give)
	a.recorded(true)
	take := func(g *gate, list []string) {
		for _, f := range frames(list) {
			if err := g.take(t.Context(), nil, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	take(a, old)
	take(b, fresh[:len(fresh)-after])
	if _, ok := b.release(a.recorded(false)); !ok {
		t.Fatal("it was not released")
	}
	if err := b.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	take(b, fresh[len(fresh)-after:])
	return given
}

func TestWhatBothCarryIsGivenOnce(t *testing.T) {
	x := func(s string) (list []string) {
		for _, r := range s {
			list = append(list, string(r))
		}
		return list
	}
	for _, test := range []struct {
		name, old, fresh string
		after            int
		want             string
	}{
		{"all of it before the switch", "abc", "bcd", 0, "abcd"},
		{"the new one is behind", "abcd", "bcde", 3, "abcde"},
		{"the new one has carried nothing yet", "abc", "bcd", 3, "abcd"},
		{"two equal frames stay two", "axxb", "xxbx", 0, "axxbx"},
		{"an equal frame before the new one was open", "xab", "abx", 0, "xabx"},
		{"two of which the new one has the second", "xxa", "xax", 0, "xxax"},
		{"the old one is deaf", "", "abc", 0, "abc"},
		{"the old one has not come so far", "ab", "de", 0, "abde"},
		{"the old one has missed some", "ad", "abcde", 0, "adbce"},
		{"in another order", "abdc", "abcde", 2, "abdce"},
		{"the new one begins with a word of its own", "abc", "Wbcd", 0, "abcWd"},
		{"nothing new", "abc", "bc", 1, "abc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := both(t, x(test.old), x(test.fresh), test.after)
			if want := x(test.want); !slices.Equal(got, want) {
				t.Errorf("given %q, want %q", got, want)
			}
		})
	}
}

// Wherever the new connection opens, the old one ends and the new one is at that
// moment: what is given is what was said.
func TestTheSwitchIsExactWhereverItIs(t *testing.T) {
	for range 3000 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		var said []string
		for n := range 3 + r.IntN(30) {
			said = append(said, fmt.Sprint(n))
			for range r.IntN(3) {
				said = append(said, string(rune('x'+r.IntN(3))))
			}
		}
		opened := r.IntN(len(said) / 2)
		ended := opened + r.IntN(len(said)-opened)
		fresh := said[opened:]
		// A frame like no other tells where the new one began, if both have it.
		const enough = 4
		if ended-opened < enough {
			continue
		}
		if got := both(t, said[:ended], fresh, r.IntN(len(fresh)-enough+1)); !slices.Equal(got, said) {
			t.Fatalf("seed %d: opened at %d, ended at %d\nsaid  %q\ngiven %q", seed, opened, ended, said, got)
		}
	}
}

func TestWhatIsExpectedIsSoNotForLong(t *testing.T) {
	g := newGate(keeping, func(context.Context, connectors.Frame) error { return nil })
	if _, ok := g.release([]digest{{1}}); !ok || len(g.expected) != 1 {
		t.Fatalf("expected: %v", g.expected)
	}
	g.until = time.Now().Add(-time.Second)
	if g.isExpected(digest{1}) || g.expected != nil {
		t.Error("it is expected still")
	}
}
