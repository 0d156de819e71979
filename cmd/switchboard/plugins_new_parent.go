package main

import "github.com/spf13/cobra"

func newPlugins() *cobra.Command {
	c := &cobra.Command{Use: "plugins", Short: "Begin, test and look after plugins"}
	c.AddCommand(newPluginsNew())
	return c
}
