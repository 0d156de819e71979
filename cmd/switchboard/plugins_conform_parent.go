package main

import "github.com/spf13/cobra"

// newPlugins is here until the commands for plugins are.
func newPlugins() *cobra.Command {
	c := &cobra.Command{Use: "plugins", Short: "Look after plugins", Args: exactly(0)}
	c.AddCommand(newPluginsTest())
	return c
}
