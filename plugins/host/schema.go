package host

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// schemaURL is what a plugin's schema is called in errors. With a plain name it
// would be a file of the working directory.
const schemaURL = "plugin:///config.schema.json"

// schema is what a plugin wants its configuration to be like.
type schema struct {
	doc      any
	compiled *jsonschema.Schema
}

// compile reads a schema; none at all accepts everything.
func compile(text []byte) (*schema, error) {
	if len(text) == 0 {
		text = []byte("true")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // a plugin does not make the bridge read files
	if err := compiler.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, err
	}
	return &schema{doc, compiled}, nil
}

// violations returns where a value is not as the schema wants it; nil: nowhere.
func (s *schema) violations(value any) ([]*jsonschema.ValidationError, error) {
	err := s.compiled.Validate(value)
	if err == nil {
		return nil, nil
	}
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return nil, err
	}
	return leaves(invalid, nil), nil
}

// leaves are the errors that name what is wrong where.
func leaves(e *jsonschema.ValidationError, into []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return append(into, e)
	}
	for _, c := range e.Causes {
		into = leaves(c, into)
	}
	return into
}

// describe makes problems of a violation: one for each key that is unknown or
// missing, at that key.
func (s *schema) describe(e *jsonschema.ValidationError) []Problem {
	part := s.part(e.SchemaURL)
	var list []Problem
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		known := properties(part)
		for _, key := range slices.Sorted(slices.Values(k.Properties)) {
			list = append(list, Problem{
				Path: pointer(child(e.InstanceLocation, key)), Message: "unknown key " + strconv.Quote(key), Known: known,
			})
		}
	case *kind.Required:
		for _, key := range k.Missing {
			message := "is missing: add " + key + ":"
			if d := description(property(part, key)); d != "" {
				message += " (" + d + ")"
			}
			list = append(list, Problem{Path: pointer(child(e.InstanceLocation, key)), Message: message})
		}
	default:
		list = append(list, Problem{Path: pointer(e.InstanceLocation), Message: explain(e.ErrorKind, part)})
	}
	return list
}

// part is the part of the schema that a location in it names; nil: it has none
// there.
func (s *schema) part(location string) any {
	fragment, ok := strings.CutPrefix(location, schemaURL+"#")
	if !ok {
		return nil
	}
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	at := s.doc
	for _, token := range tokens(fragment) {
		switch v := at.(type) {
		case map[string]any:
			at = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

func property(part any, key string) any {
	object, _ := part.(map[string]any)
	all, _ := object["properties"].(map[string]any)
	return all[key]
}

func properties(part any) []string {
	object, _ := part.(map[string]any)
	all, _ := object["properties"].(map[string]any)
	list := make([]string, 0, len(all))
	for key := range all {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

func description(part any) string {
	object, _ := part.(map[string]any)
	text, _ := object["description"].(string)
	return text
}

var pointerToken, pointerText = strings.NewReplacer("~", "~0", "/", "~1"), strings.NewReplacer("~1", "/", "~0", "~")

// pointer writes a JSON Pointer (RFC 6901).
func pointer(tokens []string) string {
	path := ""
	for _, token := range tokens {
		path += "/" + pointerToken.Replace(token)
	}
	return path
}

// tokens reads one.
func tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	list := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range list {
		list[i] = pointerText.Replace(t)
	}
	return list
}

// child is a path with one more token, in memory of its own.
func child(path []string, token string) []string { return append(slices.Clip(path), token) }
