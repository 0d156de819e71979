package host

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/hashicorp/go-plugin"

	"github.com/switchboard-dev/switchboard/plugins/host/process"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// launched is a plugin that was started and answers.
type launched struct {
	client pluginv1.PluginClient
	pid    int
	// exited is closed when nothing is left of it; exit says how it ended, then.
	exited <-chan struct{}
	exit   func() error
	// stop ends it, within a bound. That it has ended is no error.
	stop func(context.Context)
}

// launcher starts a plugin. Ending ctx calls the start off; once that is done,
// ctx plays no part.
type launcher func(ctx context.Context, spec Spec, log *slog.Logger) (*launched, error)

// launch starts the plugin's process.
func launch(dir string) launcher {
	return func(ctx context.Context, spec Spec, log *slog.Logger) (*launched, error) {
		p, err := process.Start(ctx, process.Options{
			Command: process.Command{
				Name: spec.Name, Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: dir, SHA256: spec.SHA256,
			},
			Handshake:  pluginv1.Handshake,
			Plugins:    map[int]plugin.PluginSet{pluginv1.Version: {pluginv1.Name: &pluginv1.Adapter{}}},
			MaxMessage: pluginv1.MaxMessage, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		raw, err := p.Dispense(pluginv1.Name)
		if err != nil {
			p.Stop(ctx)
			return nil, fmt.Errorf("dispense plugin %s: %w", spec.Name, err)
		}
		return &launched{raw.(pluginv1.PluginClient), p.PID(), p.Exited(), p.Err, p.Stop}, nil
	}
}

// Check starts the plugin for a moment and returns its manifest, and a
// [*Refusal] where it or its configuration is not acceptable.
func Check(ctx context.Context, spec Spec, runtimeDir string, log *slog.Logger) (*pluginv1.Manifest, error) {
	p, err := launch(runtimeDir)(ctx, spec, log)
	if err != nil {
		return nil, err
	}
	defer p.stop(ctx)
	manifest, _, err := Configure(ctx, p.client, spec)
	return manifest, err
}
