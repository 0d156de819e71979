package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/plugins/autoresponder"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/slack"
	"github.com/switchboard-dev/switchboard/plugins/webhook"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// builtinConnectors makes the connector of an account, by the name in its
// configuration.
var builtinConnectors = map[string]func(name string, a config.Account) connectors.Connector{
	"account": func(name string, a config.Account) connectors.Connector {
		return account.New(account.Options{
			Account: name, WSURL: a.WSURL, APIURL: a.APIURL, AuthScheme: a.AuthScheme, Token: a.Token.Read, MessageType: event.MessageType(a.MessageType),
		})
	},
}

// builtinPlugins serves a built-in plugin, by the name after `use:`. The host
// runs each as this same binary, executed again.
var builtinPlugins = map[string]func(){
	"autoresponder": func() { sdk.Serve(autoresponder.Plugin()) },
	"slack":         func() { sdk.Serve(slack.Plugin()) },
	"webhook":       func() { sdk.Serve(webhook.Plugin()) },
}

// measuredPlugins are those of the benches, which no configuration can name.
var measuredPlugins = map[string]func(){
	deliverPlugin: func() { sdk.Serve(acknowledger()) },
}

func names[T any](table map[string]T) []string {
	list := make([]string, 0, len(table))
	for name := range table {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func newPlugin() *cobra.Command {
	return &cobra.Command{
		Use: "plugin NAME", Short: "Serve a built-in plugin; the bridge starts it", Hidden: true,
		Args: exactly(1), ValidArgs: names(builtinPlugins),
		RunE: func(_ *cobra.Command, args []string) error {
			serve := builtinPlugins[args[0]]
			if serve == nil {
				serve = measuredPlugins[args[0]]
			}
			if serve == nil {
				return usagef("no built-in plugin %q: there are %v", args[0], names(builtinPlugins))
			}
			serve()
			return nil
		},
	}
}
