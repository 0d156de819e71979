package host

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// redact returns a configuration, one JSON value, with [secret.Redacted] for
// what the schema marks writeOnly, whether or not the rest of it is valid.
func (s *schema) redact(config []byte) (json.RawMessage, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	return json.Marshal(hide(value, applying([]*jsonschema.Schema{s.compiled})))
}

func hide(value any, by []*jsonschema.Schema) any {
	if slices.ContainsFunc(by, func(s *jsonschema.Schema) bool { return s.WriteOnly }) {
		return secret.Redacted
	}
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = hide(item, ofProperty(by, key))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = hide(item, ofItem(by, i))
		}
		return out
	}
	return value
}

// applying are the schemas and all that they apply to the same value, under
// some condition or under none: which of them holds is not asked.
func applying(list []*jsonschema.Schema) (all []*jsonschema.Schema) {
	for len(list) > 0 {
		s := list[0]
		list = list[1:]
		if s == nil || slices.Contains(all, s) {
			continue
		}
		all = append(all, s)
		list = slices.Concat(list, []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}, s.AllOf, s.AnyOf, s.OneOf)
		if s.DynamicRef != nil {
			list = append(list, s.DynamicRef.Ref)
		}
		for _, d := range s.DependentSchemas {
			list = append(list, d)
		}
		for _, d := range s.Dependencies {
			list = append(list, schemas(d)...)
		}
	}
	return all
}

// schemas are those in a field that may also hold something else.
func schemas(v any) []*jsonschema.Schema {
	switch v := v.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{v}
	case []*jsonschema.Schema:
		return v
	}
	return nil
}

func ofProperty(list []*jsonschema.Schema, key string) []*jsonschema.Schema {
	var of []*jsonschema.Schema
	for _, s := range list {
		of = append(append(of, s.Properties[key], s.UnevaluatedProperties), schemas(s.AdditionalProperties)...)
		for pattern, p := range s.PatternProperties {
			if pattern.MatchString(key) {
				of = append(of, p)
			}
		}
	}
	return applying(of)
}

func ofItem(list []*jsonschema.Schema, i int) []*jsonschema.Schema {
	var of []*jsonschema.Schema
	for _, s := range list {
		of = append(append(of, s.Items2020, s.Contains, s.UnevaluatedItems), schemas(s.AdditionalItems)...)
		if one, ok := s.Items.(*jsonschema.Schema); ok {
			of = append(of, one)
		}
		for _, tuple := range [][]*jsonschema.Schema{s.PrefixItems, tupleOf(s.Items)} {
			if i < len(tuple) {
				of = append(of, tuple[i])
			}
		}
	}
	return applying(of)
}

func tupleOf(items any) []*jsonschema.Schema {
	tuple, _ := items.([]*jsonschema.Schema)
	return tuple
}

// Setting is one key that a plugin's configuration may have.
type Setting struct {
	// Path names it: endpoints[].url; * stands for any key.
	Path string `json:"path"`
	// Type is what its value must be, as JSON Schema calls it; empty: anything.
	Type     string `json:"type,omitempty"`
	Required bool   `json:"required,omitempty"`
	// Secret: it is never shown.
	Secret      bool            `json:"secret,omitempty"`
	Default     json.RawMessage `json:"default,omitempty"`
	Description string          `json:"description,omitempty"`
}

const (
	// maxSettings and maxDepth bound what a schema, which may refer to itself,
	// is made of when it is shown.
	maxSettings, maxDepth = 500, 8
)

// settings lists what the schema allows, each key before what is in it.
func (s *schema) settings() []Setting {
	return settings(nil, applying([]*jsonschema.Schema{s.compiled}), "", 0)
}

func settings(into []Setting, of []*jsonschema.Schema, path string, depth int) []Setting {
	if depth > maxDepth {
		return into
	}
	var keys, required []string
	for _, s := range of {
		for key := range s.Properties {
			keys = append(keys, key)
		}
		required = append(required, s.Required...)
		if depth > 0 && len(schemas(s.AdditionalProperties)) > 0 && s.Properties == nil {
			keys = append(keys, "*")
		}
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if len(into) == maxSettings {
			return into
		}
		at := ofProperty(of, key)
		name := strings.TrimPrefix(path+"."+key, ".")
		into = append(into, setting(at, name, slices.Contains(required, key)))
		into = settings(into, at, name, depth+1)
	}
	if items := ofItem(of, 1<<20); len(items) > 0 {
		into = settings(into, items, path+"[]", depth+1)
	}
	return into
}

func setting(of []*jsonschema.Schema, path string, required bool) Setting {
	is := Setting{Path: path, Required: required}
	for _, s := range of {
		is.Secret = is.Secret || s.WriteOnly
		if s.Types != nil && is.Type == "" {
			types := slices.DeleteFunc(s.Types.ToStrings(), func(t string) bool { return t == "null" })
			is.Type = strings.Join(types, " or ")
		}
		if is.Description == "" {
			is.Description = s.Description
		}
		if s.Default != nil && is.Default == nil {
			is.Default, _ = json.Marshal(*s.Default) // nil where it cannot be
		}
		if e := s.Enum; e != nil && is.Type != "" && !strings.Contains(is.Type, ":") {
			is.Type += ": " + strings.ReplaceAll(oneOf(e.Values), "one of ", "")
		}
	}
	if is.Secret {
		is.Default = nil
	}
	return is
}

// envNames are the names of variables, as "name=value".
func envNames(env []string) []string {
	names := make([]string, len(env))
	for i, e := range env {
		names[i], _, _ = strings.Cut(e, "=")
	}
	slices.Sort(names)
	return names
}
