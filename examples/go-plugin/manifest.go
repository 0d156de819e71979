package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// config is what the operator writes under `config:`.
type config struct {
	After sdk.Duration `json:"after,omitempty" jsonschema:"how long a customer may wait for a first answer"`
	Say   string       `json:"say,omitempty" jsonschema:"what they are told then"`
}

// manifest is what an operator sees of the plugin before trusting it.
func manifest() sdk.Plugin[config] {
	var p promise
	return sdk.Plugin[config]{
		Name:    "first-response",
		Version: "1.0.0",
		Summary: "Tells customers who wait for a first answer that they are not forgotten",
		Events:  []string{string(event.MessageNew)},
		Actions: []event.ActionType{event.SendMessage},
		Defaults: config{
			After: sdk.Duration(10 * time.Minute),
			Say:   "Sorry to keep you waiting: we are busy today, and will be with you as soon as we can.",
		},
		Configure: func(_ context.Context, host *sdk.Host, c config) ([]sdk.Feed, error) {
			switch {
			case time.Duration(c.After) < time.Second:
				return nil, &sdk.ConfigError{Path: "/after", Err: errors.New("must be 1s or more")}
			case strings.TrimSpace(c.Say) == "":
				return nil, &sdk.ConfigError{Path: "/say", Err: errors.New("must not be blank")}
			}
			p = promise{host: host, after: time.Duration(c.After), say: c.Say}
			return []sdk.Feed{{Handlers: sdk.Handlers{OnMessageNew: p.message}}}, nil
		},
		OnTimer: func(ctx context.Context, d *sdk.Delivery, t sdk.Timer) error { return p.due(ctx, d, t) },
	}
}
