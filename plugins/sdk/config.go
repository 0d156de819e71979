package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Duration is a time.Duration in a plugin's configuration. It carries its unit
// ("30s", "5m"); a bare number is refused.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read duration %q: write it with its unit, as in 30s", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes it as time.Duration prints itself.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Schema returns the JSON Schema of a configuration of type C, made from its
// fields, json tags and jsonschema tags (the description). Fields without
// omitempty or omitzero are required, unknown ones are refused, a
// [secret.Text] is marked writeOnly and a [Duration] must carry its unit.
func Schema[C any]() (json.RawMessage, error) {
	schema, err := jsonschema.For[C](&jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[secret.Text](): {Type: "string", WriteOnly: true},
		reflect.TypeFor[Duration]():    {Type: "string", Pattern: pluginv1.DurationPattern},
	}})
	if err != nil {
		return nil, fmt.Errorf("make the schema of %T: %w", *new(C), err)
	}
	return json.Marshal(schema)
}

// ConfigError says which field of a configuration is wrong.
type ConfigError struct {
	// Path is a JSON Pointer (RFC 6901), such as /endpoints/0/url.
	Path string
	Err  error
}

func (e *ConfigError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }
func (e *ConfigError) Unwrap() error { return e.Err }

// problems takes an error of Configure apart: errors.Join makes several.
func problems(err error) []*pluginv1.Problem {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*pluginv1.Problem
		for _, e := range joined.Unwrap() {
			all = append(all, problems(e)...)
		}
		return all
	}
	var at *ConfigError
	if errors.As(err, &at) {
		return []*pluginv1.Problem{{Path: at.Path, Message: at.Err.Error()}}
	}
	return []*pluginv1.Problem{{Message: err.Error()}}
}
