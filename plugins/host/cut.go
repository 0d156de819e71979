package host

import (
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// cut is a configuration without the parts that its schema refuses. The plugin
// is asked about the rest, so that its own objections are told beside those of
// the schema, while it never sees what it has not agreed to see.
type cut struct {
	whole any
	// gone are the parts that are left out, as JSON Pointers into whole.
	gone map[string]bool
}

// cutOut leaves out what is refused, and more, until the schema accepts the
// rest. False: nothing is left.
func (s *schema) cutOut(whole any, refused []*jsonschema.ValidationError) (*cut, bool) {
	c := &cut{whole, map[string]bool{}}
	for len(refused) > 0 {
		var out []string
		for _, e := range refused {
			if unknown, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
				for _, key := range unknown.Properties {
					out = append(out, pointer(c.original(child(e.InstanceLocation, key))))
				}
				continue
			}
			if len(e.InstanceLocation) == 0 {
				return nil, false
			}
			out = append(out, pointer(c.original(e.InstanceLocation)))
		}
		for _, p := range out { // all at once: each moves what is behind it
			c.gone[p] = true
		}
		var err error
		if refused, err = s.violations(c.rest()); err != nil {
			return nil, false
		}
	}
	return c, true
}

// rest is what is left.
func (c *cut) rest() any { return c.without(c.whole, "") }

func (c *cut) without(value any, at string) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			if p := at + pointer([]string{key}); !c.gone[p] {
				out[key] = c.without(item, p)
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for i, item := range v {
			if p := at + "/" + strconv.Itoa(i); !c.gone[p] {
				out = append(out, c.without(item, p))
			}
		}
		return out
	}
	return value
}

// original is where a place of the rest is in the whole.
func (c *cut) original(path []string) []string {
	path = slices.Clone(path)
	value, at := c.whole, ""
	for n, token := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			left, err := strconv.Atoi(token)
			if err != nil {
				return path
			}
			for i, item := range v {
				if c.gone[at+"/"+strconv.Itoa(i)] {
					continue
				}
				if left == 0 {
					path[n], value = strconv.Itoa(i), item
					break
				}
				left--
			}
		}
		at = pointer(path[:n+1])
	}
	return path
}

// touches reports whether the place is around or in something that was left
// out, or is missing beside it: what a plugin finds wrong there may be just
// that.
func (c *cut) touches(place string) bool {
	section := place[:max(0, strings.LastIndex(place, "/"))]
	for gone := range c.gone {
		switch {
		case place == gone, strings.HasPrefix(gone, place+"/"), strings.HasPrefix(place, gone+"/"):
			return true
		case gone[:strings.LastIndex(gone, "/")] == section && !c.has(place):
			return true
		}
	}
	return false
}

// has reports whether something stands at the place.
func (c *cut) has(place string) bool {
	value := c.whole
	for _, token := range tokens(place) {
		object, ok := value.(map[string]any)
		if !ok {
			list, _ := value.([]any)
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(list) {
				return false
			}
			value = list[i]
			continue
		}
		if value, ok = object[token]; !ok {
			return false
		}
	}
	return true
}
