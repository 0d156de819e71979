package main

import (
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/host"
)

// TestPluginCounters reads what plugins count as Prometheus does.
func TestPluginCounters(t *testing.T) {
	seen, err := newTelemetry(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := seen.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	read := func() string {
		w := httptest.NewRecorder()
		seen.page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		return w.Body.String()
	}
	if page := read(); strings.Contains(page, "plugin_custom") {
		t.Errorf("before there is a host: %s", page)
	}
	list := []host.Status{
		{Name: "slack", Counters: []host.Counter{
			{Name: "posts", Labels: map[string]string{"channel": "#a \"b\""}, Value: 3}, {Name: "posts", Labels: map[string]string{"kind": "x"}, Value: 0.5},
			{Name: "restarts", Value: 1},
		}},
		{Name: "mine", Counters: []host.Counter{{Name: "posts", Value: 7}, {Name: "5xx", Value: 0}}},
	}
	seen.counters.of(func() []host.Status { return list })
	page := read()
	for _, want := range []string{
		"# TYPE switchboard_plugin_custom_posts_total counter",
		`switchboard_plugin_custom_posts_total{channel="#a \"b\"",plugin="slack"} 3`,
		`switchboard_plugin_custom_posts_total{kind="x",plugin="slack"} 0.5`,
		`switchboard_plugin_custom_posts_total{plugin="mine"} 7`,
		`switchboard_plugin_custom_restarts_total{plugin="slack"} 1`,
		`switchboard_plugin_custom_5xx_total{plugin="mine"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("not on the page: %s\n%s", want, page)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		lint := exec.Command(promtool, "check", "metrics")
		lint.Stdin = strings.NewReader(page)
		if out, err := lint.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v: %s", err, out)
		}
	}
}
