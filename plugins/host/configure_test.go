package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

type settings struct {
	Endpoints []endpoint   `json:"endpoints"`
	Every     sdk.Duration `json:"every,omitempty"`
}

type endpoint struct {
	URL string      `json:"url"`
	Key secret.Text `json:"key,omitempty"`
	Odd string      `json:"a/b~c,omitempty"`
}

// configure configures a plugin over memory, and returns what is refused.
func configure(t *testing.T, p pluginv1.PluginServer, config string) (*pluginv1.ConfigureResponse, *host.Refusal) {
	t.Helper()
	client, stop := dial(t, p)
	defer stop()
	spec := granted()
	spec.Config = []byte(config)
	_, res, err := host.Configure(t.Context(), client, spec)
	var refusal *host.Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("error %v is no refusal", err)
	}
	return res, refusal
}

func TestAConfigurationIsCheckedInFull(t *testing.T) {
	tests := []struct {
		name, config string
		want         map[string]string // a part of each message, by its path
	}{
		{"a good one", `{"endpoints":[{"url":"https://x"}],"every":"30s"}`, nil},
		{"every violation at once, each with its place", `{"endpoints":[{"url":"https://x"},{"url":1,"a/b~c":2},{}],"every":"30"}`,
			map[string]string{
				"/endpoints/1/url":     "is a number, and must be text: write it in quotes",
				"/endpoints/1/a~1b~0c": "is a number, and must be text: write it in quotes",
				"/endpoints/2/url":     "is missing: add url:",
				"/every":               "is no duration: write it with its unit, as in 30s, 5m or 1h30m",
			}},
		{"nothing at all", ``, map[string]string{"/endpoints": "is missing"}},
		{"no JSON", `{"endpoints":`, map[string]string{"": "not JSON"}},
		{"no object", `[]`, map[string]string{"": "is a list, and must be a map: write keys, each with a colon and its value"}},
		{"the schema's violations, and the plugin's of what is left", `{"endpoints":[{"url":1},{"url":"ftp://x","kee":"y"},{},{"url":"gopher://x","key":2}]}`,
			map[string]string{
				"/endpoints/0/url": "is a number",
				"/endpoints/1/kee": `unknown key "kee"`,
				"/endpoints/1/url": "ftp is not allowed",
				"/endpoints/2/url": "is missing",
				"/endpoints/3/key": "is a number",
				"/endpoints/3/url": "gopher is not allowed",
			}},
		{"what only the plugin can tell", `{"endpoints":[{"url":"ftp://x"},{"url":"https://x"},{"url":"gopher://x"}]}`,
			map[string]string{"/endpoints/0/url": "ftp", "/endpoints/2/url": "gopher"}},
	}
	p := sdk.Plugin[settings]{
		Configure: func(_ context.Context, _ *sdk.Host, c settings) ([]sdk.Feed, error) {
			var errs []error
			for i, e := range c.Endpoints {
				if scheme, _, _ := strings.Cut(e.URL, ":"); scheme != "https" {
					errs = append(errs, &sdk.ConfigError{Path: fmt.Sprintf("/endpoints/%d/url", i), Err: fmt.Errorf("%s is not allowed", scheme)})
				}
			}
			return []sdk.Feed{{}}, errors.Join(errs...)
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, refusal := configure(t, p.Server(nil), tt.config)
			if tt.want == nil {
				if refusal != nil || len(res.GetFeeds()) != 1 || res.GetFeeds()[0].GetName() != "default" {
					t.Errorf("feeds %v, refusal %v", res.GetFeeds(), refusal)
				}
				return
			}
			if refusal == nil || len(refusal.Problems) != len(tt.want) {
				t.Fatalf("refusal %+v, want %v", refusal, tt.want)
			}
			for _, problem := range refusal.Problems {
				if part, ok := tt.want[problem.Path]; !ok || !strings.Contains(problem.Message, part) {
					t.Errorf("%q: %s", problem.Path, problem.Message)
				}
				if !strings.Contains(refusal.Error(), problem.Message) {
					t.Errorf("%q is not in %q", problem.Message, refusal.Error())
				}
			}
		})
	}
}

func TestNoValueOfAConfigurationIsInAProblem(t *testing.T) {
	const value = "hunter2"
	schema := `{"type":"object","properties":{
		"pattern":{"pattern":"^[0-9]+$"}, "type":{"type":"integer"}, "enum":{"enum":["a"]}, "const":{"const":"a"},
		"short":{"minLength":50}, "long":{"maxLength":2}, "not":{"not":{"type":"string"}}, "one":{"oneOf":[{"pattern":"^a"},{"const":"b"}]},
		"format":{"format":"email"}, "list":{"items":{"pattern":"^a"},"uniqueItems":true}, "content":{"contentEncoding":"base64"}}}`
	config := `{"list":["hunter2","hunter2"]`
	for _, field := range []string{"pattern", "type", "enum", "const", "short", "long", "not", "one", "format", "content"} {
		config += fmt.Sprintf(`,%q:%q`, field, value)
	}
	_, refusal := configure(t, &raw{manifest: pluginv1.Manifest{ConfigSchema: []byte(schema)}}, config+"}")
	if refusal == nil || len(refusal.Problems) < 9 {
		t.Fatalf("refusal %+v", refusal)
	}
	if strings.Contains(refusal.Error(), value) {
		t.Errorf("the value is in %q", refusal.Error())
	}
}

func TestAnUnusablePluginIsRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.json")
	if err := os.WriteFile(outside, []byte(`{"type":"string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 257)
	for i := range many {
		many[i] = fmt.Sprint("feed-", i)
	}
	schema := func(s string) *raw {
		return &raw{feeds: rawFeeds("a"), manifest: pluginv1.Manifest{ConfigSchema: []byte(s)}}
	}
	tests := []struct {
		name   string
		plugin *raw
		want   string
	}{
		{"no feed", &raw{}, "declares 0 feeds; 1 to 256 are allowed"},
		{"too many feeds", &raw{feeds: rawFeeds(many...)}, "declares 257 feeds"},
		{"one feed twice", &raw{feeds: rawFeeds("a", "b", "a")}, `declares feed "a" twice`},
		{"a feed without a name", &raw{feeds: rawFeeds("")}, "names are [a-z0-9-]+"},
		{"a feed whose name would be two", &raw{feeds: rawFeeds("a.b")}, `a feed "a.b"`},
		{"a schema that is no JSON", schema(`{`), "schema in its manifest is unusable"},
		{"a schema that is no schema", schema(`{"type":"strange"}`), "schema in its manifest is unusable"},
		{"a schema that reads a file", schema(`{"$ref":"file://` + outside + `"}`), "schema in its manifest is unusable"},
		{"a schema that reads a file beside us", schema(`{"$ref":"line_test.go"}`), "schema in its manifest is unusable"},
		{"a schema that goes out", schema(`{"$ref":"https://localhost/x"}`), "schema in its manifest is unusable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refusal := configure(t, tt.plugin, `{}`)
			if refusal == nil || !strings.Contains(refusal.Error(), tt.want) || !strings.HasPrefix(refusal.Error(), "plugin tester: ") {
				t.Errorf("refusal %v, want %q", refusal, tt.want)
			}
			if wd, err := os.Getwd(); err != nil || strings.Contains(fmt.Sprint(refusal), wd) {
				t.Errorf("the refusal names a directory of the host: %v", refusal)
			}
			if refusal != nil && len(refusal.Problems) > 0 {
				t.Errorf("the configuration is blamed: %v", refusal.Problems)
			}
		})
	}
}

func TestRetriesAndEchoesAreDeclaredAsTheFeedSays(t *testing.T) {
	retries := []time.Duration{time.Second, time.Minute}
	res, refusal := configure(t, withFeeds(
		sdk.Feed{Name: "a", Events: []string{"message.new"}, Retries: retries, OwnEchoes: true}, sdk.Feed{Name: "b"},
	).Server(nil), "")
	if refusal != nil {
		t.Fatal(refusal)
	}
	a, b := res.GetFeeds()[0], res.GetFeeds()[1]
	var got []time.Duration
	for _, d := range a.GetRetries() {
		got = append(got, d.AsDuration())
	}
	if !slices.Equal(got, retries) || !a.GetOwnEchoes() || !slices.Equal(a.GetEvents(), []string{"message.new"}) {
		t.Errorf("feed a is %v", a)
	}
	if len(b.GetRetries()) != 0 || b.GetOwnEchoes() || !slices.Equal(b.GetEvents(), []string{"*"}) {
		t.Errorf("feed b is %v", b)
	}
}
