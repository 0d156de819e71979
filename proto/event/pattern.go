package event

import "strings"

// Pattern selects types of events: an exact type ("message.new"), all types
// of a kind ("message.*"), or all ("*").
type Pattern string

// Matches reports whether the pattern selects the type.
func (p Pattern) Matches(t Type) bool { return p.Covers(Pattern(t)) }

// Covers reports whether the pattern selects everything that other selects.
func (p Pattern) Covers(other Pattern) bool {
	if p == "*" || p == other {
		return true
	}
	kind, wild := strings.CutSuffix(string(p), "*")
	return wild && strings.HasSuffix(kind, ".") && strings.HasPrefix(string(other), kind)
}

// Intersect returns the patterns that select exactly what both lists select,
// none of them covered by another.
func Intersect(granted, wanted []Pattern) []Pattern {
	var both []Pattern
	for _, g := range granted {
		for _, w := range wanted {
			switch {
			case g.Covers(w):
				both = addPattern(both, w)
			case w.Covers(g):
				both = addPattern(both, g)
			}
		}
	}
	return both
}

func addPattern(list []Pattern, p Pattern) []Pattern {
	kept := list[:0]
	for _, have := range list {
		if have.Covers(p) {
			return list
		}
		if !p.Covers(have) {
			kept = append(kept, have)
		}
	}
	return append(kept, p)
}

// Patterns converts what a configuration or a manifest lists.
func Patterns(list []string) []Pattern {
	out := make([]Pattern, len(list))
	for i, s := range list {
		out[i] = Pattern(s)
	}
	return out
}
