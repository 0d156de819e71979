package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// minimal is the least that a bridge needs.
const minimal = `accounts: {"7": {ws_url: "ws://localhost:8000", token: "${TOKEN}"}}
`

// base is the environment of most tests.
var base = []string{"TOKEN=s3cret-token"}

// inDir puts files into a directory of the test's own and goes there.
func inDir(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// load loads one file that must be right.
func load(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	inDir(t, map[string]string{"sb.yaml": text})
	c, err := Load(Options{Files: []string{"sb.yaml"}, Env: append(env, base...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := load(t, minimal)
	if c.DataDir != "data" || c.Prefix != "switchboard" || c.NATS != (NATS{}) || c.HTTP != (HTTP{}) {
		t.Errorf("defaults are %v", c)
	}
	if c.Events != (Events{MaxAge: 72 * time.Hour, MaxBytes: 4 << 30}) {
		t.Errorf("events are %v", c.Events)
	}
	got := c.Accounts["7"]
	got.Token = SecretRef{}
	want := Account{
		Connector: "account", WSURL: "ws://localhost:8000", APIURL: "http://localhost:8000", AuthScheme: "Token",
		Reconnect: Reconnect{time.Second, 30 * time.Second, 0},
		Heartbeat: Heartbeat{30 * time.Second, 10 * time.Second},
		Reconcile: Reconcile{time.Minute, 15 * time.Minute, 24 * time.Hour, 10},
		Recycle:   12 * time.Hour, Confirm: "echo", Unclear: "fail",
		Outbox: Outbox{Waiting: 100_000, WaitingPerSender: 10_000, Bytes: 256 << 20, Attempts: 8},
		Loop:   Loop{10, 5 * time.Minute},
	}
	if got != want {
		t.Errorf("account is\n%+v, want\n%+v", got, want)
	}
}

func TestContract(t *testing.T) {
	c := load(t, `
data_dir: ./data
prefix: switchboard
nats:
  url: ""
  credentials: ""
  durable: false
  listen: ""
events: {max_age: 72h, max_bytes: 4GiB}
accounts:
  "7":
    connector: account
    ws_url: ws://localhost:8000
    api_url: http://localhost:8000
    token: ${TOKEN}
    self: {sender_type: User, sender_id: 3}
    reconnect: {initial: 1s, max: 30s, attempts: 0}
    heartbeat: {interval: 30s, timeout: 10s}
    reconcile: {interval: 60s, sweep: 15m, depth: 12h, rate: 2.5}
    backfill: {since: 24h}
    recycle: 6h
    confirm: none
    unclear: resend
    outbox: {rate: 5, waiting: 10, waiting_per_sender: 5, bytes: 1MiB, attempts: 3}
    loop: {turns: 4, within: 1m}
    debug: false
plugins:
  forwarder:
    use: webhook
    sha256: ""
    accounts: ["7"]
    events: [message.new, "conversation.*"]
    actions: []
    rate: 2.5
    store: 1MiB
    env: {}
    config: {}
http:
  listen: ""
`)
	a := c.Accounts["7"]
	if a.Self != (Self{"User", 3}) || a.Reconcile != (Reconcile{time.Minute, 15 * time.Minute, 12 * time.Hour, 2.5}) ||
		a.Backfill.Since != 24*time.Hour || a.Recycle != 6*time.Hour || a.Confirm != "none" || a.Unclear != "resend" ||
		a.Outbox != (Outbox{5, 10, 5, 1 << 20, 3}) || a.Loop != (Loop{4, time.Minute}) {
		t.Errorf("account is %+v", a)
	}
	p := c.Plugins["forwarder"]
	if p.Use != "webhook" || !reflect.DeepEqual(p.Accounts, []string{"7"}) || !reflect.DeepEqual(p.Events, []string{"message.new", "conversation.*"}) || p.Config == nil || p.Rate != 2.5 || p.Store != 1<<20 {
		t.Errorf("plugin is %v", p)
	}
}

func TestLayers(t *testing.T) {
	inDir(t, map[string]string{
		"one.yaml": minimal + `
prefix: one
nats: {durable: true, listen: "127.0.0.1:4222"}
http: {listen: "127.0.0.1:1"}
plugins: {x: {use: slack, accounts: [7], events: [message.new, typing.start], config: {keep: 1, replace: [1, 2, 3]}}}
`,
		"two.yaml": `
prefix: two
nats:
http: {listen: "127.0.0.1:2"}
accounts: {"7": {debug: true}, "8": {ws_url: "wss://b", token: x-literal}}
plugins: {x: {events: ["*"], config: {replace: [9]}}}
`,
	})
	c, err := Load(Options{
		Files: []string{"one.yaml", "two.yaml"},
		Env: append([]string{
			"SWITCHBOARD_PREFIX=env", "SWITCHBOARD_HTTP__LISTEN=127.0.0.1:3", "SWITCHBOARD_ACCOUNTS__7__RECONNECT__ATTEMPTS=5",
			"SWITCHBOARD_PLUGINS__X__ACTIONS=send_message, mark_as_read", "SWITCHBOARD_PLUGINS__X__ACCOUNTS=",
			"SWITCHBOARD_PLUGINS__X__ENV__HTTPS_PROXY=http://proxy",
			"SWITCHBOARD_PLUGINS__X__CONFIG__N=5", "SWITCHBOARD_PLUGINS__X__CONFIG__ON=true", `SWITCHBOARD_PLUGINS__X__CONFIG__S="5"`,
			"SWITCHBOARD_PLUGINS__X__CONFIG__BYTES=\xff\xfe-not-utf8",
			"SWITCHBOARD_TOKEN=cli", "SWITCHBOARD_CONFIG=cli", "SWITCHBOARD_PORT=tcp://10.0.0.1:80",
			"SWITCHBOARD_SERVICE_PORT_HTTP=80", "SWITCHBOARD_PORT_80_TCP_ADDR=10.0.0.1",
		}, base...),
		Overrides: map[string]any{"http.listen": "127.0.0.1:4", "events.max_age": time.Hour, "accounts.7.message_type": 1, "plugins.x.env": map[string]any{"A": "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Prefix != "env" || c.HTTP.Listen != "127.0.0.1:4" || c.Events.MaxAge != time.Hour {
		t.Errorf("a later layer did not win: %v", c)
	}
	if !c.NATS.Durable || c.NATS.Listen == "" {
		t.Errorf("an empty section undid an earlier one: %v", c.NATS)
	}
	if a := c.Accounts["7"]; !a.Debug || a.WSURL != "ws://localhost:8000" || a.Reconnect.Attempts != 5 || a.MessageType != 1 {
		t.Errorf("account 7 is not merged: %+v", a)
	}
	if a := c.Accounts["8"]; a.APIURL != "https://b" {
		t.Errorf("account 8 is %+v", a)
	}
	p := c.Plugins["x"]
	if !reflect.DeepEqual(p.Events, []string{"*"}) || !reflect.DeepEqual(p.Actions, []string{"send_message", "mark_as_read"}) || len(p.Accounts) != 0 {
		t.Errorf("lists are not replaced whole: %v", p)
	}
	if want := map[string]string{"HTTPS_PROXY": "http://proxy", "A": "b"}; !reflect.DeepEqual(p.Env, want) {
		t.Errorf("env is %v, want %v", p.Env, want)
	}
	want := map[string]any{
		"keep": int64(1), "replace": []any{int64(9)}, "n": int64(5), "on": true, "s": "5", "bytes": "\xff\xfe-not-utf8",
	}
	if !reflect.DeepEqual(p.Config, want) {
		t.Errorf("config is %#v, want %#v", p.Config, want)
	}
}

func TestFreeForm(t *testing.T) {
	c := load(t, minimal+`
plugins:
  x:
    use: any
    config:
      big: 9007199254740993
      bigger: 18446744073709551615
      ratio: 1.5
      nothing: null
      day: 2024-01-01
      not_a_number: .nan
      yes: yes
      7: key
      template: "$5 ${{.x}} $${TOKEN} $TOKEN"
      nested: [{a: [true, "${TOKEN}"]}]
      shared: &shared {a: 1, b: 2}
      merged: {<<: *shared, b: 3}
      both: {<<: [{a: 5}, *shared]}
      again: *shared
`)
	want := map[string]any{
		"big": int64(9007199254740993), "bigger": uint64(18446744073709551615), "ratio": 1.5, "nothing": nil,
		"day": "2024-01-01", "not_a_number": ".nan", "yes": "yes", "7": "key",
		"template": "$5 ${{.x}} ${TOKEN} $TOKEN",
		"nested":   []any{map[string]any{"a": []any{true, "s3cret-token"}}},
		"shared":   map[string]any{"a": int64(1), "b": int64(2)},
		"merged":   map[string]any{"a": int64(1), "b": int64(3)},
		"both":     map[string]any{"a": int64(5), "b": int64(2)},
		"again":    map[string]any{"a": int64(1), "b": int64(2)},
	}
	if got := c.Plugins["x"].Config; !reflect.DeepEqual(got, want) {
		t.Errorf("config is\n%#v, want\n%#v", got, want)
	}
}

func TestWrittenText(t *testing.T) {
	c := load(t, `
accounts: {007: {ws_url: "WS://localhost:8000/chat//", token: 0123}}
plugins: {x: {use: any, accounts: [007], env: {PORT: 8080, FLAG: yes, EMPTY: ""}}}
`)
	if token, err := c.Accounts["007"].Token.Read(); err != nil || token.Reveal() != "0123" {
		t.Errorf("an unquoted token is read as %q, %v", token.Reveal(), err)
	}
	if got := c.Accounts["007"].APIURL; got != "http://localhost:8000/chat" {
		t.Errorf("api_url is %q", got)
	}
	if got, want := c.Plugins["x"].Env, map[string]string{"PORT": "8080", "FLAG": "yes", "EMPTY": ""}; !reflect.DeepEqual(got, want) {
		t.Errorf("env is %v, want %v", got, want)
	}
}

func TestRelativePaths(t *testing.T) {
	inDir(t, map[string]string{
		"etc/sb.yaml": `
data_dir: ./data
nats: {url: "nats://localhost", credentials: bridge.creds}
accounts: {"7": {ws_url: "ws://localhost", token: "file:token"}}
plugins: {x: {command: [./bin/plugin, --config, ./a], unverified: true}}
`,
		"etc/token": "from-a-file\n",
		"env-token": "from-the-working-directory\n",
	})
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{Files: []string{"etc/sb.yaml"}, Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "etc/data" || c.NATS.Credentials != "etc/bridge.creds" {
		t.Errorf("data_dir is %q, nats.credentials %q", c.DataDir, c.NATS.Credentials)
	}
	if want := []string{filepath.Join(dir, "etc/bin/plugin"), "--config", "./a"}; !reflect.DeepEqual(c.Plugins["x"].Command, want) {
		t.Errorf("command is %q, want %q", c.Plugins["x"].Command, want)
	}
	if token, err := c.Accounts["7"].Token.Read(); err != nil || token.Reveal() != "from-a-file" {
		t.Errorf("token is %q, %v", token.Reveal(), err)
	}
	c, err = Load(Options{Files: []string{"etc/sb.yaml"}, Env: []string{"SWITCHBOARD_DATA_DIR=d", "SWITCHBOARD_ACCOUNTS__7__TOKEN=file:env-token"}})
	if err != nil {
		t.Fatal(err)
	}
	if token, err := c.Accounts["7"].Token.Read(); err != nil || c.DataDir != "d" || token.Reveal() != "from-the-working-directory" {
		t.Errorf("token is %q, %v; data_dir %q", token.Reveal(), err, c.DataDir)
	}
}

func TestPosition(t *testing.T) {
	inDir(t, map[string]string{
		"one.yaml": "accounts:\n  \"7\":\n    ws_url: ws://a\n    token: x-literal\nplugins:\n  f:\n    use: webhook\n    config:\n      endpoints:\n        - url: a\n        - url: b\n",
		"two.yaml": "plugins:\n  f:\n    config:\n      endpoints:\n        - {url: c}\n",
	})
	c, err := Load(Options{
		Files: []string{"one.yaml", "two.yaml"}, Env: []string{"SWITCHBOARD_PLUGINS__F__EVENTS=message.new"}, Overrides: map[string]any{"accounts.7.debug": true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"accounts.7.ws_url":                     "one.yaml:3:5",
		"accounts.7.self.sender_id":             "one.yaml:2:3",
		"accounts.7.debug":                      "flag accounts.7.debug",
		"plugins.f.use":                         "one.yaml:7:5",
		"plugins.f.events.0":                    "environment SWITCHBOARD_PLUGINS__F__EVENTS",
		"plugins.f.config.endpoints.0.url":      "two.yaml:5:12",
		"plugins.f.config.endpoints.0.secret.x": "two.yaml:5:11",
		"plugins.f.config.endpoints.1.url":      "two.yaml:4:7",
		"prefix":                                "one.yaml",
	} {
		if got := c.Position(strings.Split(path, ".")...).String(); got != want {
			t.Errorf("%s is at %q, want %q", path, got, want)
		}
	}
	if got := new(Config).Position("prefix"); got != (Source{}) {
		t.Errorf("a Config made by hand knows %v", got)
	}
}

func TestReloadCompares(t *testing.T) {
	inDir(t, map[string]string{"sb.yaml": strings.ReplaceAll(minimal, "${TOKEN}", "literal")})
	one, err := Load(Options{Files: []string{"sb.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	two, err := Load(Options{Files: []string{"sb.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	if one.Accounts["7"] != two.Accounts["7"] {
		t.Error("an account that was not changed differs from itself")
	}
}

func TestRuntimeDir(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp")
	t.Chdir("/")
	if got := (&Config{DataDir: "data"}).APISocket(); got != "/data/run/api.sock" {
		t.Errorf("socket is %q", got)
	}
	fits := "/" + strings.Repeat("d", maxRuntimeDir-len("//run"))
	if got := (&Config{DataDir: fits}).RuntimeDir(); got != fits+"/run" {
		t.Errorf("a path of %d bytes is not used: %q", len(fits)+len("/run"), got)
	}
	long := (&Config{DataDir: fits + "d"}).RuntimeDir()
	if !strings.HasPrefix(long, "/tmp/switchboard-") || len(long) > maxRuntimeDir {
		t.Errorf("for a long path it is %q", long)
	}
	if other := (&Config{DataDir: fits + "e"}).RuntimeDir(); other == long {
		t.Error("two data directories share one")
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"4GiB": 4 << 30, "512MiB": 512 << 20, "1536MiB": 1536 << 20, "1TiB": 1 << 40, "100B": 100, "3KiB": 3072} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s is read as %v (%d), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "4", "GiB", "4GB", "1.5GiB", "4gib", "9999999999TiB"} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	if got := Bytes(0).String(); got != "0B" {
		t.Errorf("nothing prints as %q", got)
	}
}

func TestErrorIsOfItsType(t *testing.T) {
	inDir(t, nil)
	_, err := Load(Options{Env: []string{}})
	refused, ok := errors.AsType[*Error](err)
	if !ok || len(refused.Problems) != 1 || refused.Problems[0].Path != "accounts" {
		t.Errorf("the error is %#v", err)
	}
}

func TestLocateNeedsNoSecrets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sb.yaml")
	if err := os.WriteFile(file, []byte("data_dir: ./d\naccounts: {\"7\": {ws_url: ws://h, token: \"${NOT_SET_HERE}\"}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Locate(Options{Files: []string{file}, Env: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "d"); c.DataDir != want {
		t.Errorf("data directory %s, want %s", c.DataDir, want)
	}
}
