package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// pluginsCommands are what follows `switchboard plugins`, in the order of its
// help.
var pluginsCommands = []func() *cobra.Command{
	newPluginsList, newPluginsShow, newPluginsRestart, newPluginsPause, newPluginsResume, newPluginsLogs,
	newPluginsNew, newPluginsTest,
}

func newPlugins() *cobra.Command {
	c := &cobra.Command{
		Use: "plugins", Short: "List and show the plugins of a running bridge, restart, pause or resume one, read its log",
		RunE: func(c *cobra.Command, _ []string) error {
			var names []string
			for _, sub := range c.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, sub.Name())
				}
			}
			return usagef("plugins takes %s or %s", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
		},
	}
	for _, sub := range pluginsCommands {
		c.AddCommand(sub())
	}
	return c
}

// hostPlugins joins the host to the API.
type hostPlugins struct{ *host.Host }

var _ api.Plugins = hostPlugins{}

func (h hostPlugins) List() any {
	list := h.Status()
	if list == nil {
		list = []host.Status{}
	}
	return list
}

func (h hostPlugins) Show(plugin string) (any, error) {
	d, err := h.Host.Show(plugin)
	return d, unknownPlugin(err)
}

func (h hostPlugins) Restart(ctx context.Context, plugin string) error {
	return unknownPlugin(h.Host.Restart(ctx, plugin))
}

func (h hostPlugins) Pause(ctx context.Context, plugin string) error {
	return unknownPlugin(h.Host.Pause(ctx, plugin))
}

func (h hostPlugins) Resume(ctx context.Context, plugin string) error {
	return unknownPlugin(h.Host.Resume(ctx, plugin))
}

func (h hostPlugins) Logs(ctx context.Context, plugin string, n int, follow bool, fn func(json.RawMessage) error) error {
	return unknownPlugin(h.Host.Logs(ctx, plugin, n, follow, fn))
}

func unknownPlugin(err error) error {
	if errors.Is(err, host.ErrNoPlugin) {
		_, name, _ := strings.Cut(err.Error(), ": ")
		return fmt.Errorf("%w: %s; `switchboard plugins list` shows those of this bridge", api.ErrNoPlugin, name)
	}
	return err
}

func newPluginsList() *cobra.Command {
	var d dialFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the plugins: how they stand, what they did, what troubles them", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := d.dial()
			if err != nil {
				return err
			}
			var list []host.Status
			if err := client.Plugins(c.Context(), &list); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			return printPlugins(c.OutOrStdout(), list)
		},
	}
	d.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return c
}

func printPlugins(out io.Writer, list []host.Status) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, noPlugins)
		return err
	}
	w, p, now := newTable(out), newPen(out), time.Now()
	fmt.Fprintln(w, p.dim("PLUGIN\tVERSION\tSTATE\tSINCE\tPID\tRESTARTS\tDELIVERED\tDONE\tHELD\tDEAD\tACTIONS\tREFUSED\tPROBLEM"))
	for _, s := range list {
		var delivered, acked, dead uint64
		var held int64
		for _, f := range s.Feeds {
			delivered, acked, dead, held = delivered+f.Delivered, acked+f.Acked, dead+f.Dead, held+f.Held
		}
		pid := "-"
		if s.PID != 0 {
			pid = fmt.Sprint(s.PID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\t%s\t%s\n", plain(s.Name), cmp.Or(short(s.Version, 20), "-"),
			p.state(string(s.State)), live.Ago(now, s.Since), pid, some(p.warn, s.Restarts), delivered, acked, held,
			some(p.bad, dead), s.Accepted, some(p.warn, s.Refused), short(problem(s), 90))
	}
	return w.Flush()
}

// some accents a number that is better zero.
func some[N int | uint64](accent func(string) string, n N) string {
	if n == 0 {
		return "0"
	}
	return accent(fmt.Sprint(n))
}

// problem is what troubles a plugin, the worst of it first; empty: nothing.
func problem(s host.Status) string {
	if s.State != host.Running && s.State != host.Starting && s.State != host.Paused {
		// The line begins with the plugin's name.
		reason := strings.Replace(s.Reason, fmt.Sprintf("start plugin %q: ", s.Name), "", 1)
		return strings.TrimPrefix(reason, "plugin "+s.Name+": ")
	}
	if s.Rejected != "" {
		return "new configuration not in force: " + s.Rejected
	}
	if s.Unhealthy != "" {
		return "unhealthy: " + s.Unhealthy
	}
	for _, f := range s.Feeds {
		if f.PausedUntil != nil {
			return fmt.Sprintf("feed %s pauses until %s: %s", f.Name, f.PausedUntil.Local().Format(time.TimeOnly), f.LastError)
		}
	}
	for _, f := range s.Feeds {
		if f.LastError != "" {
			return fmt.Sprintf("feed %s, lately: %s", f.Name, f.LastError)
		}
	}
	return ""
}

func newPluginsRestart() *cobra.Command {
	return newPluginsCommand("restart", "Start a plugin anew, also one that was refused or set aside",
		`Start a plugin anew: it finishes what it has in hand (for 3 s at most), its
process ends, and another is started. That is also how one comes back that was
refused, or set aside after too many crashes. It returns when the new process
runs, or says why it does not.`)
}

func newPluginsPause() *cobra.Command {
	return newPluginsCommand("pause", "Feed a plugin no more, and end its process, until it is resumed",
		`Feed a plugin no more: it finishes what it has in hand (for 3 s at most), and its
process ends. Its events wait, for as long as events are kept (events.max_age).
It stays paused until `+"`switchboard plugins resume`"+` or the next start of the bridge.`)
}

func newPluginsResume() *cobra.Command {
	return newPluginsCommand("resume", "Start a plugin that is paused", `Start a plugin that is paused; it goes on where it stood.`)
}

func newPluginsCommand(command, short, long string) *cobra.Command {
	var d dialFlags
	var asJSON bool
	c := &cobra.Command{
		Use: command + " NAME", Short: short, Long: long, Args: exactly(1), ValidArgsFunction: first(d.config.plugins),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := d.dial()
			if err != nil {
				return err
			}
			var detail host.Detail
			if err := client.PluginCommand(c.Context(), args[0], command, &detail); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(detail)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s  %s\n", newPen(c.OutOrStdout()).state(string(detail.State)), plain(detail.Name))
			return err
		},
	}
	d.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
