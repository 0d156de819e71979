package main

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/switchboard-dev/switchboard/plugins/host"
)

// pluginCounters makes metrics of what plugins count themselves. Which those
// are is known when they tell, so that there are no instruments for them. Each
// name is a metric of its own, with the plugin as a label: to Prometheus it is
// switchboard_plugin_custom_{name}_total{plugin="…"}, which cannot be taken
// for one of ours.
type pluginCounters struct {
	plugins atomic.Pointer[func() []host.Status]
	since   time.Time
}

var _ metric.Producer = (*pluginCounters)(nil)

// of says whose counters they are.
func (c *pluginCounters) of(plugins func() []host.Status) { c.plugins.Store(&plugins) }

// Produce is [metric.Producer].
func (c *pluginCounters) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	plugins := c.plugins.Load()
	if plugins == nil {
		return nil, nil
	}
	now, sums := time.Now(), map[string]*metricdata.Sum[float64]{}
	for _, p := range (*plugins)() {
		for _, counter := range p.Counters {
			sum := sums[counter.Name]
			if sum == nil {
				sum = &metricdata.Sum[float64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
				sums[counter.Name] = sum
			}
			labels := []attribute.KeyValue{attribute.String("plugin", p.Name)}
			for name, value := range counter.Labels {
				labels = append(labels, attribute.String(name, value))
			}
			sum.DataPoints = append(sum.DataPoints, metricdata.DataPoint[float64]{
				Attributes: attribute.NewSet(labels...), StartTime: c.since, Time: now, Value: counter.Value,
			})
		}
	}
	if len(sums) == 0 {
		return nil, nil
	}
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: meterName}}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		scope.Metrics = append(scope.Metrics, metricdata.Metrics{
			Name: "switchboard.plugin.custom." + name, Description: "Counted by plugins themselves, under this name.", Data: *sums[name],
		})
	}
	return []metricdata.ScopeMetrics{scope}, nil
}
