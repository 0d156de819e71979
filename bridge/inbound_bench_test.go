package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/bridge/reconcile"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// BenchmarkInbound takes frames into the stream, with tracing off (as it is
// where nothing is exported) and with each event traced. An operation is a
// frame.
func BenchmarkInbound(b *testing.B) {
	sampled := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()))
	for _, tt := range []struct {
		name     string
		provider trace.TracerProvider
	}{{"tracing=off", nil}, {"tracing=on", sampled}} {
		b.Run(tt.name, func(b *testing.B) {
			opened, err := bus.Open(b.Context(), bus.Options{
				DataDir: b.TempDir(), Prefix: "bench", MaxAge: time.Hour, MaxBytes: 2 << 30, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			in := &inbound{
				account: "7", source: "//bench/accounts/7", bus: opened, tracer: tracing.New(tt.provider, "bridge"),
				outbox: outbox.New(outbox.Options{Account: "7", Bus: opened, Log: slog.New(slog.DiscardHandler)}),
				log:    slog.New(slog.DiscardHandler),
			}
			in.reconcile = reconcile.New(reconcile.Options{Account: "7", Publish: in.publish})
			data := fmt.Appendf(nil, `{"id":1,"content":"%0330d"}`, 0)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				f := connectors.Frame{
					Type: event.MessageNew, Data: data, Conversation: fmt.Sprint(i % 50), Object: fmt.Sprint(i), Received: time.Now(),
				}
				if err := in.frame(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
			if err := opened.Close(context.WithoutCancel(b.Context())); err != nil { // waits for the last
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
