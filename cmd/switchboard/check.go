package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// checkTimeout bounds the start of one plugin.
const checkTimeout = 30 * time.Second

func newCheck() *cobra.Command {
	var cf configFlags
	c := &cobra.Command{
		Use: "check", Short: "Read the configuration and say what is wrong with it", Args: exactly(0),
		Long: `Read the configuration and say what is wrong with it, with file and line. Each
plugin is started for a moment, to ask it what it thinks of its own section; it
reaches out to nothing.`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := cf.load()
			if err != nil {
				return err
			}
			specs, err := specs(cfg)
			if err != nil {
				return err
			}
			problems := 0
			for _, s := range specs {
				found, err := checkPlugin(c.Context(), cfg, s)
				if err != nil {
					return err
				}
				for _, p := range found {
					fmt.Fprintln(c.ErrOrStderr(), "switchboard: "+p)
				}
				problems += len(found)
			}
			if problems > 0 {
				return errSaid
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "ok: %d account(s), %d plugin(s)\n", len(cfg.Accounts), len(cfg.Plugins))
			return err
		},
	}
	cf.add(c)
	return c
}

// checkPlugin returns what a plugin finds wrong, each with where it stands.
func checkPlugin(ctx context.Context, cfg *config.Config, s host.Spec) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := host.Check(ctx, s, cfg.RuntimeDir(), slog.New(slog.DiscardHandler))
	var refusal *host.Refusal
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &refusal) && len(refusal.Problems) > 0:
		var list []string
		for _, p := range refusal.Problems {
			path := append([]string{"plugins", s.Name, "config"}, pointer(p.Path)...)
			list = append(list, config.Problem{
				Source: cfg.Position(path...), Path: config.FormatPath(path), Message: p.Message,
			}.String())
		}
		return list, nil
	}
	return []string{config.Problem{
		Source: cfg.Position("plugins", s.Name), Path: config.FormatPath([]string{"plugins", s.Name}), Message: err.Error(),
	}.String()}, nil
}

// pointer splits a JSON Pointer (RFC 6901).
func pointer(p string) []string {
	if p == "" {
		return nil
	}
	tokens := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, t := range tokens {
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(t)
	}
	return tokens
}
