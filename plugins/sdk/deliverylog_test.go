package sdk

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func TestEachRecordSaysWhichEventItIsAbout(t *testing.T) {
	const about = `"event":"e1","type":"message.new","conversation":"42","trace_id":"aa"`
	tests := []struct {
		name, want string
		log        func(*slog.Logger)
	}{
		{"as it is", about + `,"n":1}`, func(l *slog.Logger) { l.Info("x", "n", 1) }},
		{"with more", about + `,"m":2,"n":1}`, func(l *slog.Logger) { l.With("m", 2).Info("x", "n", 1) }},
		{"in a group", about + `,"g":{"n":1}}`, func(l *slog.Logger) { l.WithGroup("g").Info("x", "n", 1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			d := newDelivery(&pluginv1.Delivery{What: &pluginv1.Delivery_Event{Event: &pluginv1.Event{
				Id: "e1", Type: "message.new", Conversation: "42", TraceParent: "00-aa-bb-01",
			}}}, nil, slog.New(newLogHandler(&out)))
			tt.log(d.Log)
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("record %s, want %s", out.String(), tt.want)
			}
		})
	}
}
