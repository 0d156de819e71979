package schema_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/event/schema"
)

// events has the Go type and a type of event for each schema of data.
var events = map[string]struct {
	goType reflect.Type
	event  event.Type
}{
	"conversation":  {reflect.TypeFor[event.Conversation](), event.ConversationNew},
	"message":       {reflect.TypeFor[event.Message](), event.MessageNew},
	"typing":        {reflect.TypeFor[event.Typing](), event.TypingStart},
	"action-result": {reflect.TypeFor[event.ActionResult](), event.ActionFailed},
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("test:///schema", document(t, name)); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("test:///schema")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func document(t *testing.T, name string) map[string]any {
	t.Helper()
	data, err := fs.ReadFile(schema.FS, name+".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data)).(map[string]any)
}

func parse(t *testing.T, data string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(data)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryShapeHasASchemaAndEverySchemaAShape(t *testing.T) {
	var want, got []string
	for name := range events {
		want = append(want, name)
	}
	for _, a := range event.ActionTypes {
		want = append(want, string(a))
	}
	files, err := fs.ReadDir(schema.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".schema.json")
		got = append(got, name)
		doc := document(t, name)
		if doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" || !strings.HasSuffix(fmt.Sprint(doc["$id"]), "/"+f.Name()) {
			t.Errorf("%s: $schema %v, $id %v", name, doc["$schema"], doc["$id"])
		}
		described(t, name, doc)
		compile(t, name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("schemas %v, want %v", got, want)
	}
}

// described checks that each property says what it is.
func described(t *testing.T, at string, doc map[string]any) {
	t.Helper()
	if doc["description"] == nil {
		t.Errorf("%s has no description", at)
	}
	properties, _ := doc["properties"].(map[string]any)
	for name, p := range properties {
		described(t, at+"/"+name, p.(map[string]any))
	}
}

func TestTheSchemasOfEventsAndTheGoTypesHaveTheSameFields(t *testing.T) {
	for name, e := range events {
		t.Run(name, func(t *testing.T) { sameFields(t, name, document(t, name), e.goType) })
	}
}

func sameFields(t *testing.T, at string, doc map[string]any, goType reflect.Type) {
	t.Helper()
	if doc["additionalProperties"] != true {
		t.Errorf("%s does not say that it allows more: the backend's next version has more", at)
	}
	properties, _ := doc["properties"].(map[string]any)
	for i := range goType.NumField() {
		field := goType.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		property, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("%s has no %s", at, name)
			continue
		}
		delete(properties, name)
		typ := field.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		var types []any
		switch v := property["type"].(type) {
		case []any:
			types = v
		default:
			types = []any{v}
		}
		if want := jsonType(typ); types[0] != want {
			t.Errorf("%s/%s is %v, want %s", at, name, types, want)
		}
		if optional := options == "omitempty"; optional != slices.Contains(types, any("null")) {
			t.Errorf("%s/%s is %v, but optional in Go: %t", at, name, types, optional)
		}
		if (typ == reflect.TypeFor[time.Time]()) != (property["format"] == "date-time") {
			t.Errorf("%s/%s has the format %v", at, name, property["format"])
		}
		if typ.Kind() == reflect.Struct && typ != reflect.TypeFor[time.Time]() {
			sameFields(t, at+"/"+name, property, typ)
		}
	}
	for name := range properties {
		t.Errorf("%s has %s, which is not in Go", at, name)
	}
}

func jsonType(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time](), t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Slice:
		return "array"
	case t.Kind() == reflect.Struct:
		return "object"
	}
	return "integer"
}

func TestEventsThatGoReadsAreValidAndOthersNot(t *testing.T) {
	const at = `"2026-01-02T03:04:05.678Z"`
	tests := []struct {
		name, schema, data string
		valid              bool
	}{
		{"a conversation", "conversation", `{"id":9007199254740993,"status":0,"priority":3,"assignee_id":null,"inbox_id":1,"team_id":2,
			"contact":{"id":1,"name":"Ada","email":null},"last_message":{"id":1,"content":"hi","message_type":0,"created_at":` + at + `,
			"sender_type":"Contact","sender_id":1},"unread_count":0,"created_at":` + at + `,"last_activity_at":` + at + `,
			"snoozed_until":null,"cached_label_list":["vip"]}`, true},
		{"a conversation of tomorrow", "conversation", `{"id":1,"status":17,"channel":{"kind":"fax"}}`, true},
		{"a conversation without messages", "conversation", `{"id":1,"last_message":null,"cached_label_list":null}`, true},
		{"a conversation whose id is a text", "conversation", `{"id":"1"}`, false},
		{"a status by name", "conversation", `{"id":1,"status":"open"}`, false},
		{"a contact that is a number", "conversation", `{"id":1,"contact":5}`, false},
		{"a label that is a number", "conversation", `{"id":1,"cached_label_list":[5]}`, false},
		{"a time as a number", "conversation", `{"id":1,"created_at":1767323045}`, false},
		{"a time without a zone", "conversation", `{"id":1,"created_at":"2026-01-02T03:04:05"}`, false},
		{"a list for a conversation", "conversation", `[]`, false},
		{"a message", "message", `{"id":1,"conversation_id":9007199254740993,"content":"hi","message_type":1,"sender_type":"User",
			"sender_id":null,"created_at":` + at + `,"updated_at":` + at + `,"status":"sent"}`, true},
		{"a message with attachments", "message", `{"id":1,"conversation_id":2,"attachments":[{"id":1}]}`, true},
		{"half an id", "message", `{"id":1.5,"conversation_id":2}`, false},
		{"content that is an object", "message", `{"id":1,"conversation_id":2,"content":{}}`, false},
		{"typing", "typing", `{"conversation_id":1,"user_id":2,"user_name":"Ada","is_typing":true}`, true},
		{"typing by number", "typing", `{"conversation_id":1,"is_typing":1}`, false},
		{"a result", "action-result", `{"id":"1","type":"send_message","account":"7","conversation":"1","by":"bot","attempts":1}`, true},
		{"a result with a reason", "action-result", `{"id":"1","type":"send_message","account":"7","conversation":"1","by":"bot","attempts":1,"reason":"no","event":"e"}`, true},
		{"a result of a number", "action-result", `{"id":1,"type":"send_message","account":"7","conversation":"1","by":"bot","attempts":1}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := compile(t, tt.schema).Validate(parse(t, tt.data))
			_, goErr := event.Event{Type: events[tt.schema].event, Data: []byte(tt.data)}.Decode()
			if (err == nil) != tt.valid || (goErr == nil) != tt.valid {
				t.Errorf("want valid %t; schema: %v; Go: %v", tt.valid, err, goErr)
			}
		})
	}
}

func TestBodiesAreValidIfAndOnlyIfCheckSaysSo(t *testing.T) {
	// For each action the bodies that are valid. Each body is tried on each.
	valid := map[event.ActionType][]string{
		event.SendMessage: {`{"content":"hi"}`, `{"content":" hi "}`, `{"content":"hi","message_type":3}`, `{"content":"hi","message_type":null}`,
			`{"content":"\u200b"}`, `{"content":"\ufeff"}`},
		event.UpdateStatus: {`{"status":0}`, `{"status":3}`},
		event.MarkAsRead:   {`{}`},
		event.StartTyping:  {`{}`},
		event.StopTyping:   {`{}`},
	}
	bodies := []string{
		`null`, `[]`, `"hi"`, `5`, `{"x":1}`, `{"content":""}`, `{"content":null}`, `{"content":5}`, `{"Content":"hi"}`,
		`{"content":"hi","x":1}`, `{"content":"hi","message_type":4}`, `{"content":"hi","message_type":-1}`, `{"content":"hi","message_type":"1"}`,
		`{"content":"hi","message_type":1.5}`, `{"content":"hi","status":1}`, `{"message_type":1}`,
		`{"status":4}`, `{"status":-1}`, `{"status":null}`, `{"status":"open"}`, `{"status":1.5}`, `{"status":true}`, `{"STATUS":1}`, `{"status":1,"x":1}`,
		`{"conversation_id":1}`, `{"":1}`,
	}
	// All that is blank to Go is blank to the schema.
	for r := range rune(0x10000) {
		if strings.TrimSpace(string(r)) == "" {
			bodies = append(bodies, fmt.Sprintf(`{"content":"\u%04x"}`, r))
		}
	}
	for _, list := range valid {
		bodies = append(bodies, list...)
	}
	for _, action := range event.ActionTypes {
		t.Run(string(action), func(t *testing.T) {
			s := compile(t, string(action))
			for _, body := range bodies {
				want := slices.Contains(valid[action], body)
				err := s.Validate(parse(t, body))
				goErr := event.Action{ID: "1", Type: action, Account: "7", Conversation: "1", Body: []byte(body)}.Check()
				if (err == nil) != want || (goErr == nil) != want {
					t.Errorf("%s: want valid %t; schema: %v; Check: %v", body, want, err, goErr)
				}
			}
		})
	}
}
