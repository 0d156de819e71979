package host

import (
	"fmt"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestWhatASchemaCallsWriteOnlyIsNotShown(t *testing.T) {
	const at = `{"writeOnly":true,"type":"string"}`
	tests := []struct{ name, schema, config, want string }{
		{"a property", `{"properties":{"a":` + at + `,"b":{}}}`, `{"a":"hunter2","b":1}`, `{"a":"R","b":1}`},
		{"a whole object", `{"properties":{"a":{"writeOnly":true}}}`, `{"a":{"b":["hunter2"]}}`, `{"a":"R"}`},
		{"items", `{"properties":{"a":{"items":{"properties":{"k":` + at + `}}}}}`, `{"a":[{"k":"hunter2","l":2},{"l":3}]}`, `{"a":[{"k":"R","l":2},{"l":3}]}`},
		{"one item", `{"prefixItems":[{},` + at + `]}`, `["x","hunter2","y"]`, `["x","R","y"]`},
		{"any key", `{"properties":{"a":{"additionalProperties":` + at + `}}}`, `{"a":{"x":"hunter2"}}`, `{"a":{"x":"R"}}`},
		{"keys of a pattern", `{"patternProperties":{"^s_":` + at + `}}`, `{"s_a":"hunter2","a":"b"}`, `{"a":"b","s_a":"R"}`},
		{"behind references", `{"$defs":{"s":` + at + `,"o":{"properties":{"k":{"$ref":"#/$defs/s"},"o":{"$ref":"#/$defs/o"}}}},"$ref":"#/$defs/o"}`,
			`{"k":"hunter2","o":{"o":{"k":"hunter2"}}}`, `{"k":"R","o":{"o":{"k":"R"}}}`},
		{"in some case only", `{"anyOf":[{"properties":{"a":{"type":"integer"}}},{"properties":{"a":` + at + `}}]}`, `{"a":"hunter2"}`, `{"a":"R"}`},
		{"under a condition", `{"if":{"required":["b"]},"then":{"properties":{"a":` + at + `}},"allOf":[{"dependentSchemas":{"c":{"properties":{"d":` + at + `}}}}]}`,
			`{"a":"hunter2","d":"hunter2"}`, `{"a":"R","d":"R"}`},
		{"what is not valid", `{"properties":{"a":` + at + `},"additionalProperties":false}`, `{"a":["hunter2"],"b":2}`, `{"a":"R","b":2}`},
		{"large numbers stay", `{}`, `{"a":9007199254740993}`, `{"a":9007199254740993}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := compile([]byte(tt.schema))
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.redact([]byte(tt.config))
			if want := strings.ReplaceAll(tt.want, `"R"`, `"`+secret.Redacted+`"`); err != nil || string(got) != want {
				t.Errorf("%s, %v; want %s", got, err, want)
			}
		})
	}
}

func TestSettingsSayWhatASchemaAllows(t *testing.T) {
	s, err := compile([]byte(`{"$defs":{"o":{"properties":{"again":{"$ref":"#/$defs/o"}}}},
		"type":"object","required":["url"],"properties":{
		"url":{"type":"string","description":"where to"}, "n":{"type":["integer","null"],"default":3},
		"token":{"type":"string","writeOnly":true,"default":"hunter2"}, "mode":{"type":"string","enum":["a","b"]},
		"list":{"type":"array","items":{"required":["k"],"properties":{"k":{"type":"boolean"}}}},
		"map":{"type":"object","additionalProperties":{"type":"string"}}, "o":{"$ref":"#/$defs/o"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, is := range s.settings() {
		if !strings.HasPrefix(is.Path, "o.") {
			got = append(got, fmt.Sprintf("%s|%s|%t|%t|%s|%s", is.Path, is.Type, is.Required, is.Secret, is.Default, is.Description))
		}
	}
	want := []string{
		"list|array|false|false||", "list[].k|boolean|true|false||", "map|object|false|false||", "map.*|string|false|false||",
		"mode|string: a, b|false|false||", "n|integer|false|false|3|", "o||false|false||", "token|string|false|true||",
		"url|string|true|false||where to",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
