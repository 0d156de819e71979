package slack

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
)

func TestEachErrorIsReportedAtItsPath(t *testing.T) {
	const rules = `"rules":[{"events":["message.new"],"channel":"#support"}]`
	tests := []struct {
		name, config string
		want         map[string]string // path: what the message says
	}{
		{"neither token nor webhook", `{` + rules + `}`, map[string]string{"/token": "webhook_url"}},
		{"both", `{"token":"xoxb-hunter2","webhook_url":"https://hooks.slack.com/services/x","rules":[{"events":["message.new"]}]}`,
			map[string]string{"/webhook_url": "not both"}},
		{"an app-level token", `{"token":"xapp-hunter2",` + rules + `}`, map[string]string{"/token": "xoxb-"}},
		{"a token with the end of its line", `{"token":"xoxb-hunter2\n",` + rules + `}`, map[string]string{"/token": "spaces"}},
		{"a webhook that is no URL", `{"webhook_url":"hooks.slack.com/hunter2","rules":[{"events":["message.new"]}]}`,
			map[string]string{"/webhook_url": "https://hooks.slack.com/"}},
		{"an API that is no URL", `{"token":"xoxb-1","api_url":"slack.com/api",` + rules + `}`, map[string]string{"/api_url": "https://slack.com/api/"}},
		{"no rules", `{"token":"xoxb-1","rules":[]}`, map[string]string{"/rules": "at least one"}},
		{"no channel", `{"token":"xoxb-1","rules":[{"events":["message.new"]}]}`, map[string]string{"/rules/0/channel": "C024BE91L"}},
		{"a channel in simple mode", `{"webhook_url":"https://hooks.slack.com/services/x",` + rules + `}`,
			map[string]string{"/rules/0/channel": "its own channel"}},
		{"no events", `{"token":"xoxb-1","rules":[{"events":[],"channel":"#a"}]}`, map[string]string{"/rules/0/events": "message.new"}},
		{"an event that is none", `{"token":"xoxb-1","rules":[{"events":["*","message.nwe"],"channel":"#a"}]}`,
			map[string]string{"/rules/0/events/1": "message.updated"}},
		{"typing", `{"token":"xoxb-1","rules":[{"events":["typing.*"],"channel":"#a"}]}`, map[string]string{"/rules/0/events/0": "typing"}},
		{"a name that is none", `{"token":"xoxb-1","rules":[{"name":"My rule","events":["*"],"channel":"#a"}]}`,
			map[string]string{"/rules/0/name": "a to z"}},
		{"two rules for one channel without names", `{"token":"xoxb-1","rules":[{"events":["*"],"channel":"#a"},{"events":["message.new"],"channel":"#a"}]}`,
			map[string]string{"/rules/1/name": "name of its own"}},
		{"several at once", `{"token":"xapp-1","api_url":"x","rules":[{"events":["x"]}]}`,
			map[string]string{"/token": "", "/api_url": "", "/rules/0/channel": "", "/rules/0/events/0": ""}},
		{"a typo at the top", `{"token":"xoxb-1","rule":[],` + rules + `}`, map[string]string{"/rule": "unknown key"}},
		{"a typo in a rule", `{"token":"xoxb-1","rules":[{"events":["*"],"channels":"#a"}]}`, map[string]string{"/rules/0/channels": "unknown key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]string{}
			for _, p := range sdktest.Problems(t, Plugin(), tt.config) {
				got[p.Path] = p.Message
				if strings.Contains(p.Message, "hunter2") {
					t.Errorf("%s: %q has the secret", p.Path, p.Message)
				}
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
		{"the contract's example", `{"token":"xoxb-1","api_url":"http://127.0.0.1:1/api","rules":[{"events":["message.new"],"channel":"#support"}]}`},
		{"simple mode", `{"webhook_url":"https://hooks.slack.com/services/T/B/x","rules":[{"events":["message.*","conversation.new"]}]}`},
		{"two rules for one channel", `{"token":"xoxb-1","rules":[{"name":"a","events":["*"],"channel":"#a"},{"name":"b","events":["action.failed"],"channel":"#a"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sdktest.Problems(t, Plugin(), tt.config); len(got) > 0 {
				t.Errorf("problems = %+v", got)
			}
		})
	}
}

// Positions and threads are kept under these names: they must not change
// between releases.
func TestNamesThatAreMade(t *testing.T) {
	tests := []struct {
		rule Rule
		want string
	}{
		{Rule{Name: "given", Channel: "#support"}, "given"},
		{Rule{Channel: "#support"}, "support"},
		{Rule{Channel: "C024BE91L"}, "c024be91l"},
		{Rule{Channel: "#Support_DE"}, "support-de"},
		{Rule{Channel: "#支持"}, "channel-2968fd2c"},
		{Rule{}, "webhook"},
	}
	for _, tt := range tests {
		if got := tt.rule.name(); got != tt.want {
			t.Errorf("name of %+v = %q, want %q", tt.rule, got, tt.want)
		}
	}
}

func TestFeeds(t *testing.T) {
	feeds, err := Plugin().Configure(t.Context(), &sdk.Host{}, Config{Token: "xoxb-1", Rules: []Rule{
		{Channel: "#all", Events: []string{"*"}},
		{Channel: "#some", Events: []string{"message.new", "conversation.*"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of typing: it would be sent for nothing.
	if f := feeds[0]; f.Name != "all" || !slices.Equal(f.Events, []string{"conversation.*", "message.*", "action.*"}) {
		t.Errorf("first feed = %s %v", f.Name, f.Events)
	}
	if f := feeds[1]; f.Name != "some" || !slices.Equal(f.Events, []string{"conversation.*", "message.new"}) {
		t.Errorf("second feed = %s %v", f.Name, f.Events)
	}
}

func TestSecretsAreMarkedInTheSchema(t *testing.T) {
	schema, err := sdk.Schema[Config]()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(schema), `"writeOnly":true`); n != 2 { // token, webhook_url
		t.Errorf("%d fields are writeOnly in %s", n, schema)
	}
}
