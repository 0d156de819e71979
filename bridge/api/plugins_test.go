package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// onePlugin has a plugin that does what it is told.
type onePlugin struct{ told []string }

func (p *onePlugin) List() any { return []string{"one"} }

func (p *onePlugin) Show(plugin string) (any, error) {
	return map[string]any{"told": p.told}, p.is(plugin)
}

func (p *onePlugin) is(plugin string) error {
	if plugin != "one" {
		return fmt.Errorf("%w: %q", ErrNoPlugin, plugin)
	}
	return nil
}

func (p *onePlugin) tell(what, plugin string) error {
	p.told = append(p.told, what)
	return p.is(plugin)
}

func (p *onePlugin) Restart(_ context.Context, plugin string) error { return p.tell("restart", plugin) }
func (p *onePlugin) Pause(_ context.Context, plugin string) error   { return p.tell("pause", plugin) }
func (p *onePlugin) Resume(context.Context, string) error           { return errors.New("it is not paused") }

func (p *onePlugin) Logs(_ context.Context, plugin string, n int, follow bool, fn func(json.RawMessage) error) error {
	return fn(fmt.Appendf(nil, "{\"n\":%d,\"follow\":%t}\n", n, follow))
}

func TestPlugins(t *testing.T) {
	h := Handler(Options{Plugins: &onePlugin{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: http.NotFoundHandler()})
	tests := []struct {
		call string
		code int
		want string
	}{
		{"GET /v1/plugins", http.StatusOK, `["one"]`},
		{"GET /v1/plugins/one", http.StatusOK, `{"told":null}`},
		{"GET /v1/plugins/two", http.StatusNotFound, `{"error":"no such plugin: \"two\""}`},
		{"POST /v1/plugins/one/restart", http.StatusOK, `{"told":["restart"]}`},
		{"POST /v1/plugins/one/pause", http.StatusOK, `{"told":["restart","pause"]}`},
		{"POST /v1/plugins/two/pause", http.StatusNotFound, `{"error":"no such plugin: \"two\""}`},
		{"POST /v1/plugins/one/resume", http.StatusServiceUnavailable, `{"error":"it is not paused"}`},
		{"POST /v1/plugins/one/explode", http.StatusNotFound, `{"error":"\"explode\" is not restart, pause or resume"}`},
		{"GET /v1/plugins/one/logs?n=5", http.StatusOK, `{"n":5,"follow":false}`},
		{"GET /v1/plugins/one/logs?n=0&follow=true", http.StatusOK, `{"n":0,"follow":true}`},
		{"GET /v1/plugins/one/logs?n=-1", http.StatusBadRequest, `{"error":"n: \"-1\" is not a number of records, up to 100000"}`},
		{"GET /v1/plugins/two/logs?n=5", http.StatusNotFound, `{"error":"no such plugin: \"two\""}`},
	}
	for _, tt := range tests {
		t.Run(tt.call, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.call, " ")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != tt.code || strings.TrimSpace(w.Body.String()) != tt.want {
				t.Errorf("HTTP %d: %s; want %d: %s", w.Code, w.Body, tt.code, tt.want)
			}
		})
	}
}
