package slack

import (
	"context"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

const version = "0.1.0"

// events are what the plugin has words for. Types of these kinds that it does
// not know are posted by name.
var events = []string{"conversation.*", "message.*", "action.*"}

// Plugin is the Slack plugin. It takes no actions.
func Plugin() sdk.Plugin[Config] {
	return sdk.Plugin[Config]{
		Name:      "slack",
		Version:   version,
		Summary:   "Posts conversations to Slack, a thread for each",
		Events:    events,
		Configure: configure,
	}
}

func configure(_ context.Context, host *sdk.Host, c Config) ([]sdk.Feed, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	client := newClient()
	var to poster = newWebhook(client, c.WebhookURL)
	if c.Token != "" {
		to = newWebAPI(client, c.Token, c.APIURL)
	}
	gates := map[string]*gate{} // by channel: rules may share one
	feeds := make([]sdk.Feed, len(c.Rules))
	for i, r := range c.Rules {
		if gates[r.Channel] == nil {
			gates[r.Channel] = newGate()
		}
		rule := &rule{
			channel: r.Channel, events: r.patterns(), poster: to, gate: gates[r.Channel],
			threads: &threads{host: host, rule: r.name(), channel: r.Channel},
		}
		feeds[i] = sdk.Feed{Name: r.name(), Handlers: rule.handlers()}
		for _, p := range rule.events {
			feeds[i].Events = append(feeds[i].Events, string(p))
		}
	}
	return feeds, nil
}

// covers reports whether any of the patterns selects the type.
func covers(patterns []event.Pattern, t event.Type) bool {
	for _, p := range patterns {
		if p.Matches(t) {
			return true
		}
	}
	return false
}
