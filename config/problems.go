package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source
	// Path is the value's place, with dots between its keys; empty when the
	// problem is a whole file's.
	Path string `json:"path,omitempty"`
	// Message says what is wrong and how to mend it, on one line and without
	// secrets.
	Message string `json:"message"`
}

// String returns the problem on one line.
func (p Problem) String() string {
	parts := slices.DeleteFunc([]string{p.Source.String(), p.Path, p.Message}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// Error is everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

// Error returns one line per problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// report collects problems, one for each place.
type report struct {
	problems []Problem
	seen     map[string]bool
}

func (r *report) add(source Source, path []string, format string, args ...any) {
	p := Problem{Source: source, Path: FormatPath(path), Message: fmt.Sprintf(format, args...)}
	if p.Path != "" && r.seen[p.Path] {
		return
	}
	r.settle(path)
	r.problems = append(r.problems, p)
}

// unknown reports a key that its section does not have. Where another was
// meant that is not written, that one is not missing in the bargain.
func (r *report) unknown(source Source, path, known []string, written func(sibling string) bool) {
	section, key := path[:len(path)-1], path[len(path)-1]
	r.add(source, path, "unknown key %q: %s", key, Hint(key, known))
	if near := nearest(key, known); near != "" && !written(near) {
		r.settle(child(section, near))
	}
}

// settle suppresses further problems at the path.
func (r *report) settle(path []string) { r.seen[FormatPath(path)] = true }

// err returns the problems in the order of the files, or nil without any.
func (r *report) err(files []string) error {
	if len(r.problems) == 0 {
		return nil
	}
	rank := func(p Problem) int {
		if i := slices.Index(files, p.File); i >= 0 {
			return i
		}
		return len(files)
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Problems: r.problems}
}

// scope is where a check stands in the configuration.
type scope struct {
	config *Config
	report *report
	path   []string
}

func (s scope) at(keys ...string) scope {
	s.path = slices.Concat(s.path, keys)
	return s
}

func (s scope) problem(format string, args ...any) {
	s.report.add(s.config.Position(s.path...), s.path, format, args...)
}

// show quotes a value for a message, unless it came of an expansion: then it
// may be a secret in the wrong place.
func (s scope) show(value string) string {
	if at, _ := s.config.origin.find(s.path); at.expanded {
		return secret.Redacted
	}
	return strconv.Quote(value)
}

// Hint says which of the known words was meant, or what they are.
func Hint(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "there are none"
	}
	return "known are " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// nearest returns the known word that is closest, or nothing if none is close.
func nearest(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(k))
		if swapped(strings.ToLower(word), strings.ToLower(k)) {
			d = 1
		}
		if d < least && d < len(k)-1 {
			best, least = k, d
		}
	}
	return best
}

// swapped reports whether two neighbouring letters are all that differs: the
// most common slip, which counts twice otherwise.
func swapped(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) - 1 {
		if a[i] != b[i] {
			return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		}
	}
	return false
}
