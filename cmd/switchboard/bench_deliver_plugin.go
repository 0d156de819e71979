package main

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// What the bench tells its plugin.
const (
	timedEvent  event.Type = "bench.timed"  // its way is measured
	reportEvent event.Type = "bench.report" // put what was measured into the store
	reportKey              = "latency"
)

// acknowledger acknowledges each event, and keeps how long those took that are
// to be timed.
func acknowledger() sdk.Plugin[struct{}] {
	var mu sync.Mutex
	var took []time.Duration
	return sdk.Plugin[struct{}]{
		Name: deliverPlugin, Version: version, Summary: "acknowledges everything", Events: []string{"*"},
		Configure: func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
			return []sdk.Feed{{Handlers: sdk.Handlers{OnEvent: func(ctx context.Context, d *sdk.Delivery) error {
				switch d.Event.Type {
				case timedEvent:
					t := time.Since(d.Event.Time)
					mu.Lock()
					defer mu.Unlock()
					took = append(took, t)
				case reportEvent:
					mu.Lock()
					defer mu.Unlock()
					v, err := json.Marshal(summarise(took))
					if err != nil {
						return sdk.Reject(err)
					}
					return h.Put(ctx, reportKey, v)
				}
				return nil
			}}}}, nil
		},
	}
}

func summarise(took []time.Duration) deliverLatency {
	if len(took) == 0 {
		return deliverLatency{}
	}
	slices.Sort(took)
	at := func(q float64) float64 {
		return took[min(len(took)-1, int(q*float64(len(took))))].Seconds() * 1000
	}
	return deliverLatency{Events: len(took), P50: at(0.5), P99: at(0.99), Max: at(1)}
}
