package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// TestTrace follows a customer's message, by what a receiver of OTLP gets of
// it: out to NATS, into a plugin, back as an action, to the backend, and to the
// echo that confirms it.
func TestTrace(t *testing.T) {
	spans := &receiver{more: make(chan struct{}, 1)}
	otlp := httptest.NewServer(spans)
	t.Cleanup(otlp.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	backend, bridge := startResponder(t, false)
	id, err := backend.OpenConversation("7", "Ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.CustomerWrites("7", id, "hello"); err != nil {
		t.Fatal(err)
	}
	bridge.await(t, func(s status) bool { return s.Accounts[0].Outbox.Confirmed == 1 })

	const event, queue = "switchboard.event.{account}.{conversation}.{type}", "switchboard.queue.{account}.{conversation}.{type}"
	published := spans.await(t, "send "+event, func(s *tracepb.Span) bool {
		return len(s.Links) == 0 && attr(s, "cloudevents.event_type") == "message.new"
	})
	handled := spans.await(t, "process responder", childOf(published))
	accepted := spans.await(t, "send "+queue, childOf(handled))
	sent := spans.await(t, "process "+queue, childOf(accepted))
	echo := spans.await(t, "send "+event, func(s *tracepb.Span) bool {
		return len(s.Links) == 1 && string(s.Links[0].SpanId) == string(sent.SpanId) && attr(s, "cloudevents.event_type") == "message.new"
	})
	if string(echo.TraceId) == string(published.TraceId) {
		t.Error("the echo is in the trace of what caused it, and not linked to it")
	}
	for _, s := range []*tracepb.Span{published, handled, accepted, sent} {
		if string(s.TraceId) != string(published.TraceId) {
			t.Errorf("%s is in another trace", s.Name)
		}
		if attr(s, "messaging.system") != "nats" || attr(s, "messaging.message.conversation_id") == "" {
			t.Errorf("%s lacks the attributes of messaging: %v", s.Name, s.Attributes)
		}
		if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("%s failed: %s", s.Name, s.Status.GetMessage())
		}
	}
	if got := attr(sent, "switchboard.action.result"); got != "action.confirmed" {
		t.Errorf("the action ended as %q", got)
	}
}

// TestMetrics reads the page as Prometheus does.
func TestMetrics(t *testing.T) {
	address := startMetrics(t)
	page := get(t, "http://"+address+"/metrics")
	for _, want := range []string{
		`switchboard_events_received_total{account="7",type="conversation.new"} 1`,
		`switchboard_link_connected{account="7"} 1`,
		`switchboard_actions_total{account="7",result="confirmed"} 1`,
		`switchboard_plugin_running{plugin="responder"} 1`,
		`switchboard_feed_deliveries_total{feed="default",plugin="responder",result="acked"} 1`,
		`switchboard_nats_connected 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("not on the page: %s", want)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("did not ask promtool (Debian's package prometheus): ", err)
	}
	lint := exec.Command(promtool, "check", "metrics")
	lint.Stdin = strings.NewReader(page)
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
}

func startMetrics(t *testing.T) (address string) {
	t.Helper()
	backend, bridge := startResponder(t, true)
	id, err := backend.OpenConversation("7", "Ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.CustomerWrites("7", id, "hello"); err != nil {
		t.Fatal(err)
	}
	bridge.await(t, func(s status) bool { return s.Accounts[0].Outbox.Confirmed == 1 && s.Plugins[0].Feeds[0].Acked == 1 })
	return bridge.http
}

// startResponder runs a bridge with an auto-responder over a simulated backend.
func startResponder(t *testing.T, withHTTP bool) (*simulator.Server, *bridgeProcess) {
	t.Helper()
	backend := simulator.New(simulator.Options{
		Accounts: []simulator.Account{{ID: "7", Token: "tt", AgentID: 3}}, EchoRef: true,
	})
	server := httptest.NewServer(backend)
	t.Cleanup(func() {
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	address := ""
	text := `
accounts: {"7": {ws_url: "ws` + strings.TrimPrefix(server.URL, "http") + `", token: tt}}
plugins:
  responder:
    use: autoresponder
    accounts: ["7"]
    events: [message.new]
    actions: [send_message, start_typing, stop_typing]
    config: {rules: [{name: hello, then: {reply: "Hello!"}, limits: {once_per_conversation: true}}]}
`
	if withHTTP {
		address = fmt.Sprintf("127.0.0.1:%d", freePort(t))
		text += "http: {listen: \"" + address + "\"}\n"
	}
	bridge := startBridge(t, text)
	bridge.http = address
	bridge.await(t, func(s status) bool {
		return s.Accounts[0].Link.State == link.Connected && s.Plugins[0].State == host.Running
	})
	return backend, bridge
}

// receiver is an OTLP receiver of traces, over HTTP with protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
type receiver struct {
	mu    sync.Mutex
	spans []*tracepb.Span
	more  chan struct{}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if req.URL.Path != "/v1/traces" {
		return // metrics come as well
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, res := range export.ResourceSpans {
		for _, scope := range res.ScopeSpans {
			r.spans = append(r.spans, scope.Spans...)
		}
	}
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// await waits for a span of that name that is as it should be.
func (r *receiver) await(t *testing.T, name string, as func(*tracepb.Span) bool) *tracepb.Span {
	t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		for _, s := range r.spans {
			if s.Name == name && as(s) {
				r.mu.Unlock()
				return s
			}
		}
		var names []string
		for _, s := range r.spans {
			names = append(names, s.Name)
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-timeout:
			t.Fatalf("no span %q as it should be within %s; there are %q", name, patience, names)
		}
	}
}

func childOf(parent *tracepb.Span) func(*tracepb.Span) bool {
	return func(s *tracepb.Span) bool { return string(s.ParentSpanId) == string(parent.SpanId) }
}

func attr(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: HTTP %d %v", url, res.StatusCode, err)
	}
	return string(body)
}

func TestExportsWhatTheEnvironmentAsksFor(t *testing.T) {
	tests := []struct {
		name            string
		env             map[string]string
		traces, metrics bool
	}{
		{"nothing without a word", nil, false, false},
		{"both to an endpoint for all", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, true, true},
		{"one to an endpoint of its own", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h"}, true, false},
		{"one by its exporter", map[string]string{"OTEL_METRICS_EXPORTER": "console"}, false, true},
		{"nothing where it is disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_SDK_DISABLED": "true"}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			if exports("TRACES") != tt.traces || exports("METRICS") != tt.metrics {
				t.Errorf("traces %t, metrics %t", exports("TRACES"), exports("METRICS"))
			}
		})
	}
}
