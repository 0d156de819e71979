package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// checkTimeout bounds the start of one plugin.
const checkTimeout = 30 * time.Second

func newCheck() *cobra.Command {
	var cf configFlags
	var connect bool
	c := &cobra.Command{
		Use: "check", Short: "Read the configuration and say what is wrong with it", Args: exactly(0),
		Long: `Read the configuration and say all that is wrong with it, with file, line and
column. Each plugin is started for a moment, to ask it what it thinks of its own
section; it reaches out to nothing.

With --connect it also tries an external NATS server and each account's token:
it connects to the backend, and leaves at once.`,
		Example: `  switchboard check
  switchboard check --connect`,
		RunE: func(c *cobra.Command, _ []string) error {
			draft, err := cf.examine()
			if err != nil {
				return err
			}
			tried, err := checkPlugins(c.Context(), draft)
			if err != nil {
				return err
			}
			if connect {
				tried = append(tryOut(c.Context(), draft), tried...)
				for _, line := range tried {
					fmt.Fprintln(c.OutOrStdout(), "ok  "+line)
				}
			}
			if err := draft.Err(); err != nil {
				return notConfigured(&cf, err)
			}
			cfg := draft.Config
			bots := ""
			if len(cfg.Bots) > 0 {
				bots = fmt.Sprintf(", %d bot(s)", len(cfg.Bots))
			}
			fmt.Fprintf(c.OutOrStdout(), "ok: %d account(s), %d plugin(s)%s\n", len(cfg.Accounts), len(cfg.Plugins), bots)
			if len(cfg.Plugins)+len(cfg.Bots) == 0 {
				fmt.Fprintln(c.OutOrStdout(), noPlugins)
			}
			return nil
		},
	}
	cf.add(c)
	c.Flags().BoolVar(&connect, "connect", false, "also try NATS (an external one) and each account's token")
	return c
}

// noPlugins says what to do about a bridge that tells nobody anything.
const noPlugins = "no plugins: events are published on NATS, where `switchboard tail` shows them; to act on them, add a plugin under " +
	"plugins:, such as greeter: {use: autoresponder, …} (the README has an example of each)"

// checkPlugins asks each plugin what it thinks of its section, as far as that
// can be read, and adds what it finds wrong to the draft. It returns a line for
// each that is content.
func checkPlugins(ctx context.Context, draft *config.Draft) ([]string, error) {
	dir, err := os.MkdirTemp("", "sb-check-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the plugins' sockets: %w", err)
	}
	defer os.RemoveAll(dir)
	var startable []string
	for name := range draft.Config.Plugins {
		if canStart(draft, name) {
			startable = append(startable, name)
		}
	}
	specs, err := specs(draft.Config, startable)
	if err != nil {
		return nil, err
	}
	answers := make([]error, len(specs))
	content := make([]string, len(specs))
	var asking sync.WaitGroup
	for i, s := range specs {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			manifest, err := host.Check(ctx, s, dir, slog.New(slog.DiscardHandler))
			answers[i] = err
			content[i] = fmt.Sprintf("plugin %s: %s", s.Name, strings.TrimSpace(manifest.GetName()+" "+manifest.GetVersion()))
		})
	}
	asking.Wait()
	var lines []string
	for i, s := range specs {
		if addRefusal(draft, s.Name, answers[i]) {
			lines = append(lines, content[i])
		}
	}
	return lines, nil
}

// canStart reports whether nothing is wrong with the plugin's program and with
// the form of its section.
func canStart(draft *config.Draft, name string) bool {
	for _, key := range []string{"use", "command", "sha256", "unverified", "config"} {
		if !draft.Sound("plugins", name, key) {
			return false
		}
	}
	return true
}

// addRefusal adds why a plugin cannot run to the draft; false: it cannot. What
// is wrong in a place of which something is known already is left out: a
// variable that is not set is also a token that is missing.
func addRefusal(draft *config.Draft, name string, err error) bool {
	var refusal *host.Refusal
	if !errors.As(err, &refusal) || len(refusal.Problems) == 0 {
		if err == nil {
			return true
		}
		path := []string{"plugins", name, "use"}
		if draft.Config.Plugins[name].Use == "" {
			path[2] = "command"
		}
		draft.Add(path, err.Error())
		return false
	}
	var unknown, rest []host.Problem
	for _, p := range refusal.Problems {
		switch {
		case !draft.Sound(configPath(name, p)...):
		case p.Known != nil:
			unknown = append(unknown, p)
		default:
			rest = append(rest, p)
		}
	}
	for _, p := range unknown { // first, for one of them may be what is missing
		draft.AddUnknown(configPath(name, p), p.Known)
	}
	for _, p := range rest {
		draft.Add(configPath(name, p), p.Message)
	}
	return false
}

func configPath(plugin string, p host.Problem) []string {
	return append([]string{"plugins", plugin, "config"}, p.Keys()...)
}
