package webhook

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
)

// testSecret is whsec_ and 32 bytes.
const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

func configureWith(t *testing.T, config string) ([]sdk.Feed, error) {
	t.Helper()
	var c Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	return Plugin().Configure(t.Context(), &sdk.Host{}, c)
}

func endpointJSON(fields string) string {
	return `{"endpoints":[{"url":"https://example.com/hook","secret":"` + testSecret + `"` + fields + `}]}`
}

func TestEachErrorIsReportedAtItsPath(t *testing.T) {
	tests := []struct {
		name, config string
		want         map[string]string // path: what the message says
	}{
		{"no endpoints", `{"endpoints":[]}`, map[string]string{"/endpoints": "at least one"}},
		{"a URL without scheme", `{"endpoints":[{"url":"example.com/hook","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/0/url": "https://"}},
		{"a URL without host", `{"endpoints":[{"url":"https:///hook","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/0/url": "https://"}},
		{"another scheme", `{"endpoints":[{"url":"ftp://example.com","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/0/url": "https://"}},
		{"a password in the URL", `{"endpoints":[{"url":"https://me:hunter2@example.com","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/0/url": "Authorization"}},
		{"a URL that cannot be read", `{"endpoints":[{"url":"https://exa mple.com/hunter2","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/0/url": "not a URL"}},
		{"a secret without its prefix", `{"endpoints":[{"url":"https://example.com","secret":"hunter2"}]}`,
			map[string]string{"/endpoints/0/secret": "openssl rand -base64 32"}},
		{"a secret that is not base64", `{"endpoints":[{"url":"https://example.com","secret":"whsec_hunter2!"}]}`,
			map[string]string{"/endpoints/0/secret": "openssl rand -base64 32"}},
		{"a secret of 23 bytes", `{"endpoints":[{"url":"https://example.com","secret":"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`,
			map[string]string{"/endpoints/0/secret": "23 bytes"}},
		{"a secret of 65 bytes", `{"endpoints":[{"url":"https://example.com","secret":"whsec_` + strings.Repeat("AAAA", 21) + `AAA="}]}`,
			map[string]string{"/endpoints/0/secret": "65 bytes"}},
		{"a type of event that cannot be", endpointJSON(`,"events":["message.new","message*"]`),
			map[string]string{"/endpoints/0/events/1": "message.*"}},
		{"typing", endpointJSON(`,"events":["typing.*"]`), map[string]string{"/endpoints/0/events/0": "typing"}},
		{"a header of the standard", endpointJSON(`,"headers":{"webhook-id":"x"}`),
			map[string]string{"/endpoints/0/headers/webhook-id": "leave it out"}},
		{"a header that is none", endpointJSON(`,"headers":{"a/b":"x"}`),
			map[string]string{"/endpoints/0/headers/a~1b": "not a name"}},
		{"a header twice", endpointJSON(`,"headers":{"X-A":"x","x-a":"y"}`),
			map[string]string{"/endpoints/0/headers/x-a": "twice"}},
		{"a value of two lines", endpointJSON(`,"headers":{"X-A":"x\r\nY: z"}`),
			map[string]string{"/endpoints/0/headers/X-A": "control"}},
		{"a timeout that is too long", endpointJSON(`,"timeout":"2m"`), map[string]string{"/endpoints/0/timeout": "1m0s"}},
		{"a name that is none", endpointJSON(`,"name":"My Hook"`), map[string]string{"/endpoints/0/name": "a to z"}},
		{"one name twice", `{"endpoints":[
			{"name":"a","url":"https://example.com/1","secret":"` + testSecret + `"},
			{"name":"a","url":"https://example.com/2","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/1/name": "name of its own"}},
		{"one URL twice without names", `{"endpoints":[
			{"url":"https://example.com/1","secret":"` + testSecret + `"},
			{"url":"https://example.com/1","secret":"` + testSecret + `"}]}`,
			map[string]string{"/endpoints/1/name": "name of its own"}},
		{"an address in place of a network", `{"allow_networks":["10.0.0.1"],"endpoints":[{"url":"https://example.com","secret":"` + testSecret + `"}]}`,
			map[string]string{"/allow_networks/0": "10.0.0.1/32"}},
		{"a network that is none", `{"allow_networks":["intranet"],"endpoints":[{"url":"https://example.com","secret":"` + testSecret + `"}]}`,
			map[string]string{"/allow_networks/0": "10.1.0.0/16"}},
		{"an IPv4 network written as IPv6", `{"allow_networks":["::ffff:10.0.0.0/104"],"endpoints":[{"url":"https://example.com","secret":"` + testSecret + `"}]}`,
			map[string]string{"/allow_networks/0": "::ffff:"}},
		{"several at once", `{"allow_networks":["x"],"endpoints":[{"url":"x","secret":"x"},{"url":"x","secret":"` + testSecret + `"}]}`,
			map[string]string{"/allow_networks/0": "", "/endpoints/0/url": "", "/endpoints/0/secret": "", "/endpoints/1/url": ""}},
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

func TestErrorsOfConfigureAreConfigErrors(t *testing.T) {
	_, err := configureWith(t, `{"endpoints":[{"url":"x","secret":"x"}]}`)
	var at *sdk.ConfigError
	if !errors.As(err, &at) || at.Path != "/endpoints/0/url" {
		t.Errorf("error = %v", err)
	}
}

func TestFeeds(t *testing.T) {
	feeds, err := configureWith(t, `{"endpoints":[
		{"name":"crm","url":"https://crm.example.com/in","secret":"`+testSecret+`","events":["message.new","conversation.*"]},
		{"url":"https://Hooks.Example.com:8443/in?key=1","secret":"`+testSecret+`"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(feeds) != 2 {
		t.Fatalf("%d feeds", len(feeds))
	}
	if f := feeds[0]; f.Name != "crm" || !slices.Equal(f.Events, []string{"message.new", "conversation.*"}) {
		t.Errorf("first feed = %q %v", f.Name, f.Events)
	}
	// Positions are kept under this name: it must not change between releases.
	if f := feeds[1]; f.Name != "hooks-example-com-8443-cf6747d3" || len(f.Events) != 0 {
		t.Errorf("second feed = %q %v", f.Name, f.Events)
	}
	for _, f := range feeds {
		if !slices.Equal(f.Retries, schedule) || len(f.Retries) != 9 {
			t.Errorf("retries of %s = %v", f.Name, f.Retries)
		}
	}
}

// The host compiles the schema and validates by it before it calls Configure.
func TestSchema(t *testing.T) {
	full := `{"name":"a","url":"https://example.com","secret":"` + testSecret + `","events":["message.*"],"headers":{"Authorization":"Bearer x"},"timeout":"5s"}`
	tests := []struct {
		name, config, path, says string // no path and nothing said: accepted
	}{
		{"accepts the contract's example", `{"endpoints":[{"url":"https://example.com","secret":"` + testSecret + `"}],"allow_networks":["10.0.0.0/8"]}`, "", ""},
		{"accepts every field", `{"endpoints":[` + full + `]}`, "", ""},
		{"refuses a typo at the top", `{"endpoints":[` + full + `],"allow_network":[]}`, "/allow_network", "unknown key"},
		{"refuses a typo in an endpoint", endpointJSON(`,"event":["message.new"]`), "/endpoints/0/event", "unknown key"},
		{"refuses no endpoints", `{}`, "/endpoints", "is missing"},
		{"refuses an endpoint without URL", `{"endpoints":[{"secret":"x"}]}`, "/endpoints/0/url", "is missing"},
		{"refuses a timeout without unit", endpointJSON(`,"timeout":"20"`), "/endpoints/0/timeout", "as in 30s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sdktest.Problems(t, Plugin(), tt.config)
			if tt.says == "" {
				if len(got) > 0 {
					t.Errorf("problems = %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Path != tt.path || !strings.Contains(got[0].Message, tt.says) {
				t.Errorf("problems = %+v, want %q at %q", got, tt.says, tt.path)
			}
		})
	}
}

func TestSecretsAreMarkedInTheSchema(t *testing.T) {
	schema, err := sdk.Schema[Config]()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(schema), `"writeOnly":true`); n != 2 { // secret, and the values of headers
		t.Errorf("%d fields are writeOnly in %s", n, schema)
	}
}
