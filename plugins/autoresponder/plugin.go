package autoresponder

import (
	"context"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

const version = "0.1.0"

// answerable are the events that have a message to answer.
var answerable = []event.Type{event.MessageNew, event.MessageUpdated, event.ConversationNew}

// Plugin is the autoresponder.
func Plugin() sdk.Plugin[Config] {
	return sdk.Plugin[Config]{
		Name:    "autoresponder",
		Version: version,
		Summary: "Answers customers by rules",
		Events: []string{
			string(event.MessageNew), string(event.MessageUpdated), string(event.ConversationNew),
		},
		Actions:   []event.ActionType{event.SendMessage, event.UpdateStatus, event.MarkAsRead, event.StartTyping, event.StopTyping},
		Configure: configure,
	}
}

func configure(_ context.Context, host *sdk.Host, c Config) ([]sdk.Feed, error) {
	rules, err := c.rules()
	if err != nil {
		return nil, err
	}
	r := &responder{rules: rules, limits: limits{host}}
	feed := sdk.Feed{Handlers: sdk.Handlers{
		OnMessageNew:      r.message,
		OnMessageUpdated:  r.message,
		OnConversationNew: r.conversation,
	}}
	for _, t := range answerable {
		if r.wants(t) {
			feed.Events = append(feed.Events, string(t))
		}
	}
	return []sdk.Feed{feed}, nil
}
