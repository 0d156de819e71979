package webhook

import (
	"context"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
)

const version = "0.1.0"

// schedule is how long Standard Webhooks waits before each further attempt:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
var schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Plugin is the webhook plugin. It takes no actions.
func Plugin() sdk.Plugin[Config] {
	return sdk.Plugin[Config]{
		Name:      "webhook",
		Version:   version,
		Summary:   "Posts events to HTTP endpoints, signed as Standard Webhooks",
		Events:    []string{"*"},
		Configure: configure,
	}
}

func configure(_ context.Context, _ *sdk.Host, c Config) ([]sdk.Feed, error) {
	endpoints, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	feeds := make([]sdk.Feed, len(endpoints))
	for i, e := range endpoints {
		feeds[i] = sdk.Feed{
			Name: e.name, Events: e.events, Retries: schedule,
			Handlers: sdk.Handlers{OnEvent: e.deliver},
		}
	}
	return feeds, nil
}
