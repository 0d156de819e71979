package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/config"
)

// loadHere loads a configuration from a file of the working directory.
func loadHere(t *testing.T, text string) *config.Config {
	t.Helper()
	if err := os.WriteFile("sb.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Files: []string{"sb.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestWhatNeedsARestart(t *testing.T) {
	const before = `
accounts:
  "7": {ws_url: wss://a, token: abc}
  "8": {ws_url: wss://b, token: abc, reconnect: {max: 1m}}
events: {max_age: 1h}
plugins: {p: {use: slack, events: [message.new]}}
`
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"plugins", "[message.new]", "[message.updated]", nil},
		{"a section", "1h", "2h", []string{"events"}},
		{"a section that was not there", "events:", "http: {listen: 127.0.0.1:0}\nevents:", []string{"http"}},
		{"a value", "events:", "prefix: other\nevents:", []string{"prefix"}},
		{"an account", "max: 1m", "max: 2m", []string{"accounts.8"}},
		{"one more and one less account", `"8"`, `"9"`, []string{"accounts.8", "accounts.9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Secrets are equal where they were written in the same place.
			t.Chdir(t.TempDir())
			a, b := loadHere(t, before), loadHere(t, strings.Replace(before, tt.old, tt.new, 1))
			if got := needRestart(a, b); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Else a reload would start plugins anew that did not change.
func TestTheSameConfigurationMakesTheSameSpecs(t *testing.T) {
	t.Chdir(t.TempDir())
	cfg := loadHere(t, `
accounts: {"7": {ws_url: wss://a, token: abc}}
plugins: {p: {use: slack, env: {A: "1", B: "2", C: "3", D: "4", E: "5", F: "6"}, config: {x: 1, y: 2, z: [a]}}}
`)
	first, err := specs(cfg, names(cfg.Plugins))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		again, err := specs(cfg, names(cfg.Plugins))
		if err != nil || !slices.Equal(again[0].Env, first[0].Env) || string(again[0].Config) != string(first[0].Config) {
			t.Fatalf("%v, then %v: %v", first, again, err)
		}
	}
}
