package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestSecretRefIsReadAnew(t *testing.T) {
	inDir(t, map[string]string{"sb.yaml": strings.ReplaceAll(minimal, "${TOKEN}", "file:token"), "token": "one\n"})
	c, err := Load(Options{Files: []string{"sb.yaml"}, Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile("token", []byte(want+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Accounts["7"].Token.Read(); err != nil || got.Reveal() != want {
			t.Errorf("token is %q, %v, want %q", got.Reveal(), err, want)
		}
	}
	t.Setenv("ROTATED_TOKEN", "one")
	ref := newSecretRef("${ROTATED_TOKEN}", "", nil)
	t.Setenv("ROTATED_TOKEN", "two")
	if got, err := ref.Read(); err != nil || got.Reveal() != "two" {
		t.Errorf("a rotated variable is read as %q, %v", got.Reveal(), err)
	}
	if _, err := new(SecretRef).Read(); !errors.Is(err, errEmptySecret) {
		t.Errorf("none is read with %v", err)
	}
}

func TestSecretRefShows(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"literal":                     secret.Redacted,
		"pre${NAME}":                  secret.Redacted,
		"${NAME:-literal}":            secret.Redacted,
		"${NAME}":                     "${NAME}",
		"file:/run/secrets/token":     "file:/run/secrets/token",
		"file:${CREDENTIALS}/token":   "file:${CREDENTIALS}/token",
		"file:${CREDENTIALS:-x}/toke": secret.Redacted,
	} {
		ref := newSecretRef(text, "", nil)
		encoded, err := json.Marshal(ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{ref.String(), fmt.Sprintf("%#v", ref), ref.LogValue().String(), strings.Trim(string(encoded), `"`)} {
			if got != want {
				t.Errorf("%q shows as %q, want %q", text, got, want)
			}
		}
	}
}

// dump shows a value in every way that someone might.
func dump(t *testing.T, v any) string {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	return fmt.Sprintf("%v %+v %#v %s %q %x %d", v, v, v, v, v, v, v) + string(encoded) + log.String()
}

func TestNoSecretIsShown(t *testing.T) {
	const text = `
nats: {url: "nats://user:n4ts-secret@a, nats://n4ts-token@b"}
accounts:
  "7": {ws_url: "ws://x", token: "l1teral-secret"}
  "8": {ws_url: "ws://x", token: "${TOKEN}"}
plugins:
  x:
    use: any
    env: {KEY: "${ENV_SECRET}"}
    config: {url: "https://x/${URL_SECRET}", list: [{key: "${LIST_SECRET:-d3fault-secret}"}], file: "file:f1le", open: shown}
`
	inDir(t, map[string]string{"sb.yaml": text, "f1le": "f1le-secret\n"})
	c, err := Load(Options{Files: []string{"sb.yaml"}, Env: []string{
		"TOKEN=s3cret-token", "ENV_SECRET=3nv-secret", "URL_SECRET=ur1-secret", "SWITCHBOARD_PLUGINS__X__CONFIG__DIRECT=d1rect-secret",
	}})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"n4ts-secret", "n4ts-token", "l1teral-secret", "s3cret-token", "3nv-secret", "ur1-secret", "d3fault-secret", "f1le-secret", "d1rect-secret"}
	for _, v := range []any{c, *c, c.NATS, c.Accounts, c.Plugins, c.Plugins["x"]} {
		shown := dump(t, v)
		for _, s := range secrets {
			if strings.Contains(shown, s) || strings.Contains(shown, fmt.Sprintf("%x", s)) {
				t.Errorf("%T shows %s", v, s)
			}
		}
	}
	type unexported struct{ account Account }
	if got := fmt.Sprintf("%+v", unexported{c.Accounts["7"]}); strings.Contains(got, "l1teral") {
		t.Errorf("in a field that is not exported the token shows: %s", got)
	}
	p := c.Plugins["x"]
	if got := fmt.Sprint(p.Redacted()); got != "map[direct:[redacted] file:[redacted] list:[map[key:[redacted]]] open:shown url:[redacted]]" {
		t.Errorf("redacted it is %s", got)
	}
	if p.Config["url"] != "https://x/ur1-secret" || p.Config["file"] != "f1le-secret" {
		t.Error("redacting changed the configuration itself")
	}
	all := strings.Join(secrets, " ")
	if got := secret.Scrub(all, c.Secrets()...); strings.Contains(got, "secret") || strings.Contains(got, "token") {
		t.Errorf("Secrets leaves %q", got)
	}
}

func TestNoErrorShowsASecret(t *testing.T) {
	const hidden = "hush-1234"
	inDir(t, map[string]string{"sb.yaml": `
prefix: ${S}!
nats: {url: "nats://u:${S}@", listen: "${S}", durable: "${S}"}
events: {max_age: "${S}", max_bytes: "${S}"}
http: {listen: "file:s"}
accounts:
  a: {connector: "${S}", ws_url: "${S}", api_url: "http://${S}@h", token: "file:${S}", auth_scheme: "${S} ${S}", message_type: "${S}", reconnect: {attempts: "${S}"}, debug: "file:s"}
  b: {ws_url: "ws://u:${S}@h", token: "${S}${LINES}"}
  c: {ws_url: "ws://u:${S}/@h", token: "file:lines"}
plugins:
  x: {use: "${S}", accounts: ["${S}"], events: ["${S}!", "mesage.new"], actions: ["${S}"], config: {a: "file:${S}", b: "${NOPE:-${S}}"}}
  y: {command: ["${S}"], sha256: "${S}"}
bots:
  b: {password: "${S}", accounts: ["${S}"], events: ["${S}!"], actions: ["${S}"], rate: "${S}", window: "${S}"}
`, "s": hidden, "lines": hidden + "\n" + hidden})
	_, err := Load(Options{
		Files: []string{"sb.yaml"}, Env: []string{"S=" + hidden, "LINES=\n"},
		Connectors: []string{"account"}, Builtins: []string{"slack"},
	})
	refused, ok := errors.AsType[*Error](err)
	if !ok || len(refused.Problems) < 20 {
		t.Fatalf("the test misses its aim: %v", err)
	}
	for _, p := range refused.Problems {
		if strings.Contains(p.String(), "hush") || strings.Contains(p.String(), "1234") {
			t.Errorf("it shows the secret: %s", p)
		}
		if strings.Contains(p.String(), "\n") {
			t.Errorf("it has more than one line: %q", p)
		}
	}
}
