package autoresponder

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
)

func TestEachErrorIsReportedAtItsPath(t *testing.T) {
	one := func(fields string) string { return `{"rules":[{"name":"a",` + fields + `}]}` }
	tests := []struct {
		name, config string
		want         map[string]string // path: what the message says
	}{
		{"no rules", `{"rules":[]}`, map[string]string{"/rules": "at least one"}},
		{"a name that is none", `{"rules":[{"name":"Out of office","then":{"reply":"x"}}]}`, map[string]string{"/rules/0/name": "a to z"}},
		{"one name twice", `{"rules":[{"name":"a","then":{"reply":"x"}},{"name":"a","then":{"reply":"y"}}]}`,
			map[string]string{"/rules/1/name": "name of its own"}},
		{"an event without a message", one(`"when":{"events":["message.new","conversation.updated"]},"then":{"reply":"x"}`),
			map[string]string{"/rules/0/when/events/1": "message.new"}},
		{"a blank keyword", one(`"when":{"keywords":["x"," "]},"then":{"reply":"x"}`), map[string]string{"/rules/0/when/keywords/1": "blank"}},
		{"an expression that is none", one(`"when":{"matches":"(refund"},"then":{"reply":"x"}`), map[string]string{"/rules/0/when/matches": "missing closing )"}},
		{"an expression that RE2 does not have", one(`"when":{"matches":"(?=x)"},"then":{"reply":"x"}`), map[string]string{"/rules/0/when/matches": "(?="}},
		{"nothing to do", one(`"then":{}`), map[string]string{"/rules/0/then": "does nothing"}},
		{"typing alone", one(`"then":{"typing":true}`), map[string]string{"/rules/0/then": "does nothing", "/rules/0/then/typing": "before a reply"}},
		{"typing without a reply", one(`"then":{"typing":false,"mark_as_read":true}`), map[string]string{"/rules/0/then/typing": "before a reply"}},
		{"a template that is none", one(`"then":{"reply":"Hello {{.Message.Content"}`), map[string]string{"/rules/0/then/reply": "not a template"}},
		{"a template with a field that is not there", one(`"then":{"reply":"Hello {{.Contact.Name}}"}`),
			map[string]string{"/rules/0/then/reply": "for conversation.new also .Contact"}},
		{"a template with a field that only one of its events has", one(`"when":{"events":["*"]},"then":{"reply":"Hello {{.Contact.Name}}"}`),
			map[string]string{"/rules/0/then/reply": "cannot be made for message.new"}},
		{"a status that is none", one(`"then":{"status":"closed"}`), map[string]string{"/rules/0/then/status": "resolved"}},
		{"a cooldown that has no effect", one(`"then":{"reply":"x"},"limits":{"cooldown":"1h","once_per_conversation":true}`),
			map[string]string{"/rules/0/limits/cooldown": "no effect"}},
		{"several at once", `{"rules":[{"name":"","when":{"matches":"("},"then":{}},{"name":"b","then":{"status":"x"}}]}`,
			map[string]string{"/rules/0/name": "", "/rules/0/when/matches": "", "/rules/0/then": "", "/rules/1/then/status": ""}},
		{"a typo at the top", `{"rules":[{"name":"a","then":{"reply":"x"}}],"rule":1}`, map[string]string{"/rule": "unknown key"}},
		{"a typo in a rule", one(`"then":{"replies":"x"}`), map[string]string{"/rules/0/then/replies": "unknown key"}},
		{"no name", `{"rules":[{"then":{"reply":"x"}}]}`, map[string]string{"/rules/0/name": "is missing"}},
		{"a cooldown without unit", one(`"then":{"reply":"x"},"limits":{"cooldown":"60"}`), map[string]string{"/rules/0/limits/cooldown": "as in 30s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]string{}
			for _, p := range sdktest.Problems(t, Plugin(), tt.config) {
				got[p.Path] = p.Message
			}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(tt.want))) {
				t.Fatalf("problems = %v, want at %v", got, tt.want)
			}
			for path, says := range tt.want {
				if !strings.Contains(got[path], says) {
					t.Errorf("%s: %q does not say %q", path, got[path], says)
				}
			}
		})
	}
}

func TestConfigurationsThatAreAccepted(t *testing.T) {
	tests := []struct{ name, config string }{
		{"the contract's example", `{"rules":[{"name":"a","when":{"keywords":["refund"]},"then":{"reply":"x"},"limits":{"cooldown":"1h"}}]}`},
		{"the least", `{"rules":[{"name":"a","then":{"mark_as_read":true}}]}`},
		{"every field", `{"rules":[{"name":"a","when":{"events":["message.*"],"keywords":["x"],"matches":"y"},
			"then":{"reply":"{{.Message.Content}} {{.Conversation.ID}} {{.Account}}","typing":false,"status":"snoozed","mark_as_read":true},
			"limits":{"once_per_conversation":true}}]}`},
		{"a template that looks into what is often empty", `{"rules":[{"name":"a","when":{"events":["conversation.new"]},
			"then":{"reply":"{{.Contact.Name}} {{index .Conversation.Labels 0}} {{.Conversation.LastMessage.ID}} {{.Conversation.SnoozedUntil.Year}}"}}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sdktest.Problems(t, Plugin(), tt.config); len(got) > 0 {
				t.Errorf("problems = %+v", got)
			}
		})
	}
}

func TestTheFeedHasTheEventsOfItsRules(t *testing.T) {
	feeds, err := Plugin().Configure(t.Context(), &sdk.Host{}, Config{Rules: []Rule{
		{Name: "a", Then: Then{Reply: "x"}},
		{Name: "b", When: When{Events: []string{"conversation.*"}}, Then: Then{Reply: "x"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(feeds) != 1 || feeds[0].OwnEchoes || !slices.Equal(feeds[0].Events, []string{"message.new", "conversation.new"}) {
		t.Errorf("feeds = %+v", feeds)
	}
}
