package main

import (
	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/config"
)

// dialFlags are the flags of commands that talk to a running bridge.
type dialFlags struct{ config configFlags }

func (f *dialFlags) add(c *cobra.Command) { f.config.add(c) }

// dial finds the bridge of the configuration by its data directory.
func (f *dialFlags) dial() (*api.Client, error) {
	o, err := f.config.options()
	if err != nil {
		return nil, err
	}
	cfg, err := config.Locate(o)
	if err != nil {
		return nil, err
	}
	return api.Dial(cfg.APISocket()), nil
}

func newLink() *cobra.Command {
	c := &cobra.Command{
		Use: "link", Short: "Connect, disconnect or reconnect an account of a running bridge",
		RunE: func(*cobra.Command, []string) error {
			return usagef("link takes connect, disconnect or reconnect, and an account")
		},
	}
	for _, command := range []struct{ name, short string }{
		{"connect", "Connect at once, where the link is away or waiting"},
		{"disconnect", "Disconnect and stay away until told otherwise"},
		{"reconnect", "Make a new connection at once"},
	} {
		var d dialFlags
		sub := &cobra.Command{
			Use: command.name + " ACCOUNT", Short: command.short, Args: exactly(1), ValidArgsFunction: first(d.config.accounts),
			RunE: func(c *cobra.Command, args []string) error {
				client, err := d.dial()
				if err != nil {
					return err
				}
				return client.Link(c.Context(), args[0], command.name)
			},
		}
		d.add(sub)
		c.AddCommand(sub)
	}
	return c
}
