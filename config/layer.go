package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"go.yaml.in/yaml/v3"
)

// layer is one source of configuration, as YAML nodes. Reading it checks its
// shape and notes positions; single values come out as text, as they were
// written, and what is free in form with its types.
type layer struct {
	*loader
	// source says where the node at the path was written.
	source func(path []string, n *yaml.Node) Source
	// plain marks the environment, where everything is text.
	plain bool
	// left bounds how many more nodes are read: an alias may hold itself.
	left int
	// merging is how many << are being followed, one in the other.
	merging int
}

// What a file may hold: far more than any does, and little enough for memory.
const (
	maxNodes = 100_000
	maxDepth = 100
)

// file reads a file. False: it cannot be judged, and so nothing can.
func (l *loader) file(name string) bool {
	whole := Source{File: name}
	data, err := os.ReadFile(name)
	if err != nil {
		mend := "mend that"
		if errors.Is(err, fs.ErrNotExist) {
			mend = "create it"
		}
		l.report.add(whole, nil, "cannot be read: %v: %s, or name another one with --config", bare(err), mend)
		return false
	}
	if l.config.origin.source == (Source{}) {
		l.config.origin.source = whole // where something is missing altogether
	}
	documents := yaml.NewDecoder(strings.NewReader(string(data)))
	var first, second yaml.Node
	switch err := documents.Decode(&first); {
	case errors.Is(err, io.EOF):
		return true
	case err != nil:
		l.syntax(name, string(data), err)
		return false
	}
	switch err := documents.Decode(&second); {
	case err == nil:
		l.report.add(Source{File: name, Line: second.Line, Column: second.Column}, nil, "a second document begins here: put it in a file of its own")
		return false
	case !errors.Is(err, io.EOF):
		l.syntax(name, string(data), err)
		return false
	}
	la := layer{loader: l, left: maxNodes, source: func(_ []string, n *yaml.Node) Source {
		return Source{File: name, Line: n.Line, Column: n.Column}
	}}
	return la.merge(first.Content[0])
}

var syntaxError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)

// maxSearched is in how many lines at most an error is searched for: each is
// parsed again for those after it.
const maxSearched = 2000

// syntax reports what keeps a file from being YAML. The parser tells where the
// part with the error begins, which may be the first line; so the line is the
// one after the most of the file that can be read.
func (l *loader) syntax(name, data string, err error) {
	m := syntaxError.FindStringSubmatch(err.Error())
	at := Source{File: name}
	at.Line, _ = strconv.Atoi(m[1])
	lines := strings.SplitAfter(data, "\n")
	if len(lines) <= maxSearched {
		for n := range lines {
			if yaml.Unmarshal([]byte(strings.Join(lines[:n], "")), new(yaml.Node)) == nil {
				at.Line = n + 1
			}
		}
	}
	if at.Line > 0 && at.Line <= len(lines) {
		line := lines[at.Line-1]
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.Index(indent, "\t"); tab >= 0 {
			at.Column = tab + 1
			l.report.add(at, nil, "is not YAML: a tab is in the indentation: use spaces")
			return
		}
		at.Column = len(indent) + 1
	}
	l.report.add(at, nil, "is not YAML: %s: check the indentation (spaces, no tabs), colons and quotes here and just above", m[2])
}

// overrides reads what flags say.
func (l *loader) overrides(flags map[string]any) error {
	nested, err := confmap.Provider(flags, ".").Read()
	if err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	return l.values(layer{source: func(path []string, _ *yaml.Node) Source {
		return Source{File: "flag " + FormatPath(path)}
	}}, nested)
}

// values reads a layer that is not YAML in the first place.
func (l *loader) values(la layer, nested map[string]any) error {
	var n yaml.Node
	if err := n.Encode(nested); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	la.loader, la.left = l, maxNodes
	la.merge(&n)
	return nil
}

// merge reads the layer and lays it over the ones before it.
func (l *layer) merge(root *yaml.Node) bool {
	value, said := l.read(root, reflect.TypeFor[Config](), nil, root)
	if l.left < 0 {
		l.report.add(l.source(nil, root), nil, "has more than %d values or %d levels: an alias (*name) holds itself, or aliases multiply", maxNodes, maxDepth)
		return false
	}
	if tree, ok := value.(map[string]any); said && ok {
		// A map that is in memory cannot fail to load.
		_ = l.merged.Load(confmap.Provider(tree, ""), nil)
	}
	return true
}
