package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unique"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Source is where a value comes from.
type Source struct {
	// File is the file as it was named to Load. For what comes from elsewhere
	// it names that: "environment SWITCHBOARD_PREFIX", "flag prefix".
	File string `json:"file,omitempty"`
	// Line and Column count from 1, Column in characters; 0: not known, or not
	// a file.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// String returns file:line:column as far as it is known.
func (s Source) String() string {
	text := s.File
	for _, n := range []int{s.Line, s.Column} {
		if n == 0 {
			break
		}
		text += ":" + strconv.Itoa(n)
	}
	return text
}

// dir is what a relative path that is written there is relative to; empty: the
// working directory.
func (s Source) dir() string {
	if s.Line == 0 {
		return ""
	}
	return filepath.Dir(s.File)
}

// resolve makes a path that is written there absolute, as far as it can.
func (s Source) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir(), path)
}

// Position returns where the value at the path was written: by the layer that
// set it last, or, for a value that nobody wrote, the nearest part around it.
// It is zero where nothing is known. Items of lists are counted from "0".
func (c *Config) Position(path ...string) Source {
	if c.origin == nil {
		return Source{}
	}
	at, _ := c.origin.find(path)
	return at.source
}

// origin is what is remembered of how a Config came about.
type origin struct {
	position
	// brought is what expansions have brought into plugins, as handles, so
	// that a dump by reflection does not show it.
	brought []unique.Handle[secret.Text]
}

func (o *origin) hide(text string) {
	if text != "" {
		o.brought = append(o.brought, unique.Make(secret.Text(text)))
	}
}

// position is the tree of the merged configuration, without its values.
type position struct {
	source Source
	list   bool
	// expanded is set for a leaf whose value is not the text that was written.
	expanded bool
	below    map[string]*position
}

// find returns the position at the path or its nearest known ancestor, and
// whether it is the former.
func (p *position) find(path []string) (*position, bool) {
	for _, key := range path {
		next, ok := p.below[key]
		if !ok {
			return p, false
		}
		p = next
	}
	return p, true
}

// leaf notes that source sets the leaf or list at the path, and forgets what
// was beneath it.
func (p *position) leaf(path []string, source Source, list bool) {
	p.parent(path).below[path[len(path)-1]] = &position{source: source, list: list}
}

// section notes that source adds to the section at the path. The environment
// and flags do not move a section that a file has opened.
func (p *position) section(path []string, source Source) {
	if len(path) == 0 {
		return
	}
	parent, key := p.parent(path), path[len(path)-1]
	at := parent.below[key]
	switch {
	case at == nil || at.list:
		parent.below[key] = &position{source: source}
	case source.Line > 0:
		at.source = source
	}
}

func (p *position) parent(path []string) *position {
	at, _ := p.find(path[:len(path)-1])
	if at.below == nil {
		at.below = map[string]*position{}
	}
	return at
}

// child returns the path with one more key, in memory of its own.
func child(path []string, key string) []string { return append(slices.Clip(path), key) }

var plainKey = regexp.MustCompile(`^[\pL\pN_@+-]+$`)

// FormatPath writes a path with dots between its keys; odd keys are quoted.
func FormatPath(path []string) string {
	keys := make([]string, len(path))
	for i, key := range path {
		if keys[i] = key; !plainKey.MatchString(key) {
			keys[i] = strconv.Quote(key)
		}
	}
	return strings.Join(keys, ".")
}
