package host

import (
	"context"
	"log/slog"

	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Launched is a plugin that a test started, in whatever way.
type Launched struct {
	Client pluginv1.PluginClient
	PID    int
	Exited <-chan struct{}
	Exit   func() error
	Stop   func(context.Context)
}

// NewIn is New for plugins that are no processes.
func NewIn(specs []Spec, o Options, start func(context.Context, Spec) (*Launched, error)) *Host {
	return newHost(specs, o, func(ctx context.Context, spec Spec, _ *slog.Logger) (*launched, error) {
		p, err := start(ctx, spec)
		if err != nil {
			return nil, err
		}
		return &launched{p.Client, p.PID, p.Exited, p.Exit, p.Stop}, nil
	})
}

// Sharing are the options of a plugin that shares what was decoded.
func Sharing(o Options, c *filter.Cache) Options {
	o.decoded = c
	return o
}
