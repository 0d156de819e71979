package config

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// read returns the value of a node, and false when it says nothing. at is the
// node where the value is said to be: its key, or in a list the node itself.
func (l *layer) read(n *yaml.Node, t reflect.Type, path []string, at *yaml.Node) (any, bool) {
	if l.left--; l.left < 0 || len(path) > maxDepth {
		l.left = -1
		return nil, false
	}
	if n.Kind == yaml.AliasNode {
		return l.read(n.Alias, t, path, at)
	}
	source := l.source(path, at)
	switch want, null := shapeOf(t), n.ShortTag() == "!!null"; {
	case want == free:
		return l.readFree(n, t, path, source)
	case null && (want == single || want == list):
		return nil, false
	case null:
		l.config.origin.section(path, source)
		return map[string]any{}, true
	case want == single && n.Kind == yaml.ScalarNode:
		l.config.origin.leaf(path, source, false)
		return text(n), true
	case want == list:
		return l.readList(n, t, path, source)
	case want != single && n.Kind == yaml.MappingNode:
		l.config.origin.section(path, source)
		return l.readMapping(n, t, path), true
	}
	l.report.add(source, path, "%s", wanted(t))
	return nil, false
}

// wanted says what a part has to look like that does not.
func wanted(t reflect.Type) string {
	switch shapeOf(t) {
	case single:
		return "must be one value, without keys or items beneath it"
	case section:
		return "must be a section with keys of its own: " + strings.Join(keys(t), ", ")
	}
	return "must be a map: write names, each with a colon and what belongs to it"
}

func (l *layer) readList(n *yaml.Node, t reflect.Type, path []string, source Source) (any, bool) {
	items := n.Content
	switch {
	case n.Kind == yaml.SequenceNode:
	case l.plain && n.Kind == yaml.ScalarNode:
		items = commas(n.Value)
	case l.plain:
		l.report.add(source, path, "one item of a list cannot be set: set the whole list, with commas between its items")
		return nil, false
	default:
		l.report.add(source, path, "must be a list: write [one, two], or an item a line, each after a dash")
		return nil, false
	}
	l.config.origin.leaf(path, source, true)
	values := []any{}
	for i, item := range items {
		at := child(path, strconv.Itoa(i))
		if v, ok := l.read(item, t.Elem(), at, item); ok {
			values = append(values, v)
		} else {
			l.report.add(l.source(at, item), at, "is empty: write a value, or remove the item")
		}
	}
	return values, true
}

func commas(text string) []*yaml.Node {
	var items []*yaml.Node
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: item})
		}
	}
	return items
}

func (l *layer) readMapping(n *yaml.Node, t reflect.Type, path []string) map[string]any {
	out := map[string]any{}
	pairs := l.pairs(n, path)
	for _, p := range pairs {
		at, key := child(path, p.key.Value), p.key.Value
		field := below(t, key)
		if field == nil {
			l.report.unknown(l.source(at, p.key), at, keys(t), func(sibling string) bool {
				return slices.ContainsFunc(pairs, func(p pair) bool { return p.key.Value == sibling })
			})
			continue
		}
		if v, ok := l.read(p.value, field, at, p.key); ok {
			out[key] = v
		}
	}
	return out
}

// readFree reads a value whose form is the user's own.
func (l *layer) readFree(n *yaml.Node, t reflect.Type, path []string, source Source) (any, bool) {
	switch n.Kind {
	case yaml.MappingNode:
		if at, ok := l.config.origin.find(path); l.plain && ok && at.list {
			l.report.add(source, path, "one item of a list cannot be set from the environment: set the list in a file")
			return nil, false
		}
		l.config.origin.section(path, source)
		return l.readMapping(n, reflect.TypeFor[map[string]any](), path), true
	case yaml.SequenceNode:
		l.config.origin.leaf(path, source, true)
		values := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			v, _ := l.read(item, t, child(path, strconv.Itoa(i)), item)
			values = append(values, v)
		}
		return values, true
	}
	l.config.origin.leaf(path, source, false)
	if l.plain {
		return guess(text(n)), true
	}
	return scalar(n), true
}

// scalar returns a value as its tag says; integers stay exact.
func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return decoded[bool](n)
	case "!!int":
		if i := decoded[int64](n); i != any(n.Value) {
			return i
		}
		return decoded[uint64](n)
	case "!!float":
		if f, ok := decoded[float64](n).(float64); ok && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
	return text(n)
}

// text returns a value as it was written. YAML holds what is not UTF-8 (a
// variable's value may be that) in base64.
func text(n *yaml.Node) string {
	if n.ShortTag() != "!!binary" {
		return n.Value
	}
	s, _ := decoded[string](n).(string)
	return s
}

// decoded returns the node's value as a T, or as its text where it is none.
func decoded[T any](n *yaml.Node) any {
	var v T
	if n.Decode(&v) != nil {
		return n.Value
	}
	return v
}

type pair struct{ key, value *yaml.Node }

// pairs lists what a mapping has, with what << merges into it.
func (l *layer) pairs(n *yaml.Node, path []string) []pair {
	if l.left--; l.left < 0 {
		return nil
	}
	var (
		own    []pair
		merges []*yaml.Node
		lines  = map[string]int{}
	)
	for entry := range slices.Chunk(n.Content, 2) {
		key, value := entry[0], entry[1]
		at := child(path, key.Value)
		switch line, again := lines[key.Value]; {
		case key.ShortTag() == "!!merge":
			merges = append(merges, value)
		case key.Kind != yaml.ScalarNode:
			l.report.add(l.source(path, key), path, "a key must be plain text, not a list, a map or an alias")
		case again:
			l.report.add(l.source(at, key), at, "is here twice, first on line %d: remove one of them", line)
		default:
			lines[key.Value] = key.Line
			own = append(own, pair{key, value})
		}
	}
	for _, m := range merges {
		for _, p := range l.inherited(m, path) {
			if _, have := lines[p.key.Value]; !have {
				lines[p.key.Value] = p.key.Line
				own = append(own, p)
			}
		}
	}
	return own
}

// inherited lists what << merges from a map, or from a list of maps.
func (l *layer) inherited(n *yaml.Node, path []string) []pair {
	switch n.Kind {
	case yaml.AliasNode:
		if l.merging++; l.merging > maxDepth {
			l.left = -1
			return nil
		}
		defer func() { l.merging-- }()
		return l.inherited(n.Alias, path)
	case yaml.MappingNode:
		return l.pairs(n, path)
	case yaml.SequenceNode:
		var all []pair
		for _, item := range n.Content {
			all = append(all, l.inherited(item, path)...)
		}
		return all
	}
	l.report.add(l.source(path, n), path, "<< takes a map, or a list of maps")
	return nil
}
