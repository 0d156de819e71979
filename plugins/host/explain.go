package host

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

var english = message.NewPrinter(language.English)

// explain says what is wrong and how to mend it, without the value: it may be
// a secret, or one in the wrong place. part is the schema of the place.
func explain(k jsonschema.ErrorKind, part any) string {
	if isDuration(part) {
		switch k.(type) {
		case *kind.Pattern, *kind.Type:
			return "is no duration: write it with its unit, as in 30s, 5m or 1h30m"
		}
	}
	switch k := k.(type) {
	case *kind.Type:
		return wrongType(k)
	case *kind.Enum:
		return "must be " + oneOf(k.Want)
	case *kind.Pattern:
		if d := description(part); d != "" {
			return "has not the form that it must have: " + d
		}
		return fmt.Sprintf("does not match the pattern %q", k.Want)
	case *kind.Format:
		return "is not a valid " + k.Want
	case *kind.MinItems:
		return fmt.Sprintf("has %d items: write at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d items: write at most %d", k.Got, k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("is too short: write at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("is too long: write at most %d characters", k.Want)
	case *kind.Minimum:
		return "is too small: write " + number(k.Want) + " or more"
	case *kind.Maximum:
		return "is too large: write " + number(k.Want) + " or less"
	case *kind.ExclusiveMinimum:
		return "is too small: write more than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "is too large: write less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	}
	return k.LocalizedString(english)
}

// isDuration reports whether a part of a schema is that of a duration.
func isDuration(part any) bool {
	object, _ := part.(map[string]any)
	return object["pattern"] == pluginv1.DurationPattern
}

// inYAML is how the types of JSON are called by who writes YAML, and how a
// value of the type is written.
var inYAML = map[string]struct{ name, write string }{
	"string":  {"text", "write it in quotes"},
	"number":  {"a number", "write it in digits, without quotes"},
	"integer": {"a whole number", "write it in digits, without quotes"},
	"boolean": {"true or false", "write one of them, without quotes"},
	"array":   {"a list", "write [one, two], or an item a line, each after a dash"},
	"object":  {"a map", "write keys, each with a colon and its value"},
	"null":    {"empty", "remove the value"},
}

func wrongType(k *kind.Type) string {
	want := slices.DeleteFunc(slices.Clone(k.Want), func(t string) bool { return t == "null" && len(k.Want) > 1 })
	names := make([]string, len(want))
	for i, t := range want {
		names[i] = inYAML[t].name
	}
	mend := inYAML[want[0]].write
	if want[0] == "string" && (k.Got == "array" || k.Got == "object" || k.Got == "null") {
		mend = "write one value"
	}
	got := inYAML[k.Got].name
	if k.Got == "null" {
		return fmt.Sprintf("is empty, and must be %s: %s", strings.Join(names, " or "), mend)
	}
	return fmt.Sprintf("is %s, and must be %s: %s", got, strings.Join(names, " or "), mend)
}

// oneOf lists values of a schema.
func oneOf(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "one of " + strings.Join(texts, ", ")
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return fmt.Sprint(f)
}
