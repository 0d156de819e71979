package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// meterName is who makes our metrics.
const meterName = "github.com/switchboard-dev/switchboard"

// telemetry is OpenTelemetry's SDK: the one place that names it. Plugins,
// bridge and host know its API alone.
type telemetry struct {
	// tracer is nil where nothing is exported: then nothing is traced.
	tracer trace.TracerProvider
	meter  *metric.MeterProvider
	// counters are those of the plugins.
	counters *pluginCounters
	// page serves the metrics to Prometheus.
	page http.Handler
	stop []func(context.Context) error
}

// newTelemetry reads OpenTelemetry's standard environment variables. Spans are
// exported where an OTLP endpoint or OTEL_TRACES_EXPORTER is set, metrics over
// OTLP where that is, or OTEL_METRICS_EXPORTER; OTEL_SDK_DISABLED ends it all
// but the page for Prometheus
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
func newTelemetry(ctx context.Context, log *slog.Logger) (*telemetry, error) {
	t := &telemetry{counters: &pluginCounters{since: time.Now()}}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithAttributes(attribute.String("service.name", "switchboard"), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		log.Warn("telemetry does not know everything of where it runs", "error", err)
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithProducer(t.counters))
	if err != nil {
		return nil, fmt.Errorf("make the metrics page: %w", err)
	}
	t.page = promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
	options := []metric.Option{metric.WithResource(res), metric.WithReader(exporter)}

	if exports("METRICS") {
		autoexport.WithFallbackMetricProducer(func(context.Context) (metric.Producer, error) { return t.counters, nil })
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("export metrics: %w", err)
		}
		options = append(options, metric.WithReader(reader))
	}
	t.meter = metric.NewMeterProvider(options...)
	t.stop = append(t.stop, t.meter.Shutdown)

	if exports("TRACES") {
		spans, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("export traces: %w", err)
		}
		if !autoexport.IsNoneSpanExporter(spans) {
			provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(res))
			t.tracer = provider
			t.stop = append(t.stop, provider.Shutdown)
		}
	}
	return t, nil
}

// exports reports whether the environment asks for a signal to be exported.
// The specification's default is to export to a collector on this machine; one
// that is not there would fill the log.
func exports(signal string) bool {
	if disabled, err := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED")); err == nil && disabled {
		return false
	}
	for _, name := range []string{
		"OTEL_" + signal + "_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT",
	} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// close exports what is still to be exported, for as long as ctx allows.
func (t *telemetry) close(ctx context.Context) error {
	var errs []error
	for _, stop := range t.stop {
		errs = append(errs, stop(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("export the last of the telemetry: %w", err)
	}
	return nil
}
