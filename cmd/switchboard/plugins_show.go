package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
)

func newPluginsShow() *cobra.Command {
	var d dialFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "show NAME", Short: "Show a plugin: what it is, what it was granted, how it stands", Args: exactly(1),
		ValidArgsFunction: first(d.config.plugins),
		Long: `Show a plugin: what it says of itself, which settings it has, what it was granted,
its configuration without its secrets, its feeds and its latest ends.

Where no bridge runs, the plugin of the configuration is started for a moment and
asked what it is and what it thinks of its section; it reaches out to nothing.`,
		RunE: func(c *cobra.Command, args []string) error {
			detail, err := showPlugin(c.Context(), &d, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(detail)
			}
			return printPlugin(c.OutOrStdout(), detail)
		},
	}
	d.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func showPlugin(ctx context.Context, d *dialFlags, name string) (detail host.Detail, err error) {
	client, err := d.dial()
	if err != nil {
		return detail, err
	}
	if err := client.Plugin(ctx, name, &detail); !errors.Is(err, api.ErrNotRunning) {
		return detail, err
	}
	cfg, err := d.config.load()
	if err != nil {
		return detail, err
	}
	if _, ok := cfg.Plugins[name]; !ok {
		return detail, fmt.Errorf("no such plugin: %q: %s", name, config.Hint(name, names(cfg.Plugins)))
	}
	specs, err := specs(cfg, []string{name})
	if err != nil {
		return detail, err
	}
	dir, err := os.MkdirTemp("", "sb-show-")
	if err != nil {
		return detail, fmt.Errorf("make a directory for the plugin's socket: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return host.Describe(ctx, specs[0], dir, slog.New(slog.DiscardHandler)), nil
}

func printPlugin(out io.Writer, d host.Detail) error {
	w, p, now := newTable(out), newPen(out), time.Now()
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, value)
		}
	}
	state := p.state(string(d.State))
	if !d.Since.IsZero() {
		state += " for " + live.Ago(now, d.Since)
	}
	if d.PID != 0 {
		state += fmt.Sprintf(", pid %d", d.PID)
	}
	if d.Restarts > 0 {
		state += fmt.Sprintf(", started again %d times", d.Restarts)
	}
	row("plugin", plain(d.Name))
	row("state", state)
	row("reason", oneLine(d.Reason))
	row("unhealthy", oneLine(d.Unhealthy))
	row("rejected", oneLine(d.Rejected))
	if m := d.Manifest; m != nil {
		row("is", oneLine(m.Name+" "+m.Version))
		row("summary", oneLine(m.Summary))
		var versions []string
		for _, v := range m.Protocols {
			versions = append(versions, fmt.Sprint(v))
		}
		row("protocols", strings.Join(versions, ", "))
	}
	row("program", oneLine(strings.Join(append([]string{d.Program.Path}, d.Program.Args...), " ")))
	row("sha256", d.Program.SHA256)
	row("environment", oneLine(strings.Join(d.Program.Env, ", ")))
	row("accounts", grants(d.Granted.Accounts, nil))
	row("events", grants(texts(d.Granted.Events), wanted(d.Manifest, func(m *host.Manifest) []string { return m.Events })))
	row("actions", grants(texts(d.Granted.Actions), wanted(d.Manifest, func(m *host.Manifest) []string { return m.Actions })))
	if d.Manifest != nil || len(d.Feeds) > 0 {
		row("acted", fmt.Sprintf("%d accepted, %d refused", d.Accepted, d.Refused))
	}
	printFeeds(w, p, d.Feeds)
	printEnds(w, p, d.Ends)
	printSettings(w, p, d.Manifest)
	if err := w.Flush(); err != nil || d.Config == nil {
		return err
	}
	var config bytes.Buffer
	if err := json.Indent(&config, d.Config, "", "  "); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	fmt.Fprintln(out, "\n"+p.dim("CONFIG"))
	for line := range strings.Lines(config.String() + "\n") {
		fmt.Fprintln(out, plain(strings.TrimSuffix(line, "\n")))
	}
	return nil
}

func printFeeds(w io.Writer, p pen, feeds []feed.Status) {
	if len(feeds) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+p.dim("FEED\tDELIVERED\tDONE\tHELD\tRETRIED\tDEAD\tPAUSED UNTIL\tLAST ERROR"))
	for _, f := range feeds {
		until := "-"
		if f.PausedUntil != nil {
			until = f.PausedUntil.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", plain(f.Name), f.Delivered, f.Acked, f.Held, f.Retried,
			some(p.bad, f.Dead), until, short(f.LastError, 80))
	}
}

func printEnds(w io.Writer, p pen, ends []host.Ended) {
	if len(ends) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+p.dim("ENDED\tPID\tWHY"))
	for _, e := range slices.Backward(ends) {
		fmt.Fprintf(w, "%s\t%d\t%s\n", e.At.Local().Format(time.DateTime), e.PID, short(e.Reason, 120))
	}
}

func printSettings(w io.Writer, p pen, m *host.Manifest) {
	if m == nil || len(m.Settings) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+p.dim("SETTING\tTYPE\t\tDEFAULT\tWHAT IT IS"))
	for _, s := range m.Settings {
		var is []string
		if s.Required {
			is = append(is, "required")
		}
		if s.Secret {
			is = append(is, "secret")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", plain(s.Path), cmp.Or(short(s.Type, maxColumn), "any"), strings.Join(is, ", "),
			cmp.Or(short(string(s.Default), maxColumn), "-"), short(s.Description, 80))
	}
}

// oneLine is a text on one line.
func oneLine(s string) string { return plain(strings.Join(strings.Fields(s), " ")) }

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}

func wanted(m *host.Manifest, of func(*host.Manifest) []string) []string {
	if m == nil {
		return nil
	}
	return of(m)
}

// grants is what was granted, and beside it what is wanted where that is known.
func grants(granted, wanted []string) string {
	text := cmp.Or(oneLine(strings.Join(granted, ", ")), "none granted")
	if len(wanted) > 0 {
		text += "; it may want " + oneLine(strings.Join(wanted, ", "))
	}
	return text
}
