package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/config"
)

// completeTimeout bounds what a shell waits for after a tab.
const completeTimeout = time.Second

// words are what a shell offers.
type words func(c *cobra.Command) []string

// complete offers words for a flag.
func complete(c *cobra.Command, flag string, w words) {
	must(c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return beginning(w(c), begun), cobra.ShellCompDirectiveNoFileComp
	}))
}

// first offers words for the first argument.
func first(w words) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(w(c), begun), cobra.ShellCompDirectiveNoFileComp
	}
}

func beginning(list []string, begun string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !strings.HasPrefix(s, begun) })
}

// must is for what fails only where a command is built wrongly.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// accounts are those of the configuration or, where that has none, of the
// bridge that runs.
func (f *configFlags) accounts(c *cobra.Command) []string {
	if d, err := f.examine(); err == nil && len(d.Config.Accounts) > 0 {
		return names(d.Config.Accounts)
	}
	var list []string
	for _, a := range f.running(c.Context()).Accounts {
		list = append(list, a.Account)
	}
	return list
}

// plugins are found like accounts.
func (f *configFlags) plugins(c *cobra.Command) []string {
	if d, err := f.examine(); err == nil && len(d.Config.Plugins) > 0 {
		return names(d.Config.Plugins)
	}
	var list []string
	for _, p := range f.running(c.Context()).Plugins {
		list = append(list, p.Name)
	}
	return list
}

// running is the status of the bridge; empty: there is none that answers.
func (f *configFlags) running(ctx context.Context) (s status) {
	o, err := f.options()
	if err != nil {
		return status{}
	}
	cfg, err := config.Locate(o)
	if err != nil {
		return status{}
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	if api.Dial(cfg.APISocket()).Status(ctx, &s) != nil {
		return status{}
	}
	return s
}
