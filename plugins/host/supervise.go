package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-plugin"

	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	// restartInitial and restartMax bound the wait before a plugin that ended
	// is started again.
	restartInitial, restartMax = time.Second, 2 * time.Minute
	// healthy is how long a plugin must run for that wait to begin anew.
	healthy = 10 * time.Minute
)

// Host runs a set of plugins. Its methods are safe for concurrent use.
type Host struct {
	o       Options
	plugins []*supervised
}

type supervised struct {
	spec  Spec
	stats *Stats
}

// New returns a host of the given plugins. It starts nothing before Run.
func New(specs []Spec, o Options) *Host {
	o.decoded = filter.NewCache()
	h := &Host{o: o}
	for _, s := range specs {
		stats := &Stats{}
		stats.set(Waiting, "not started")
		h.plugins = append(h.plugins, &supervised{s, stats})
	}
	return h
}

// Run runs the plugins until ctx ends and each has finished what it had in
// hand and is gone, which takes a few seconds at the most. A plugin's fault is
// not an error of Run: it is in its status and in the log.
func (h *Host) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, p := range h.plugins {
		running.Go(func() { h.supervise(ctx, p) })
	}
	running.Wait()
	<-ctx.Done() // there may be no plugin at all
	return context.Cause(ctx)
}

// Status is how the plugins stand now, in the order in which New got them.
func (h *Host) Status() []Status {
	list := make([]Status, 0, len(h.plugins))
	for _, p := range h.plugins {
		list = append(list, p.stats.Snapshot(p.spec.Name))
	}
	return list
}

// supervise starts one plugin, again and again.
func (h *Host) supervise(ctx context.Context, p *supervised) {
	log := h.o.Log.With("plugin", p.spec.Name)
	wait := &backoff.ExponentialBackOff{
		InitialInterval: restartInitial, MaxInterval: restartMax, Multiplier: 2, RandomizationFactor: 0.5,
	}
	for {
		p.stats.set(Starting, "")
		began := time.Now()
		err := h.once(ctx, p)
		if h.o.Ended != nil {
			h.o.Ended(p.spec.Name)
		}
		if ctx.Err() != nil {
			p.stats.set(Stopped, context.Cause(ctx).Error())
			return
		}
		if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
			p.stats.set(Refused, err.Error())
			log.Error("plugin is not run", "error", err)
			<-ctx.Done()
			p.stats.set(Stopped, context.Cause(ctx).Error())
			return
		}
		if time.Since(began) >= healthy {
			wait.Reset()
		}
		d := wait.NextBackOff()
		p.stats.set(Waiting, err.Error())
		log.Warn("plugin ended; it is started again", "error", err, "again_in", d.Round(time.Millisecond))
		select {
		case <-time.After(d):
		case <-ctx.Done():
			p.stats.set(Stopped, context.Cause(ctx).Error())
			return
		}
	}
}

// once runs one process of the plugin, from its start to its end.
func (h *Host) once(ctx context.Context, p *supervised) error {
	started, client, err := start(ctx, p.spec, h.o.RuntimeDir, h.o.Log)
	if err != nil {
		return err
	}
	// A plugin that has ended by now is gone at once, however ctx stands.
	defer started.Stop(context.WithoutCancel(ctx))
	p.stats.started(started.PID())

	// The line knows of the process's end before its socket does.
	running, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	ended := make(chan error, 1)
	go func() { ended <- Run(running, client, p.spec, h.o, p.stats) }()
	select {
	case err := <-ended:
		return exitReason(started, err)
	case <-started.Exited():
		cut(errLineOver)
		<-ended
		return fmt.Errorf("its process %w", started.Err())
	}
}

// exitReason prefers how the process ended to the broken line that followed.
func exitReason(p *process.Process, err error) error {
	if err == nil {
		return nil
	}
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		return err
	}
	select {
	case <-p.Exited():
		return fmt.Errorf("its process %w", p.Err())
	case <-time.After(exitGrace):
		return err
	}
}

// exitGrace is how long a process whose line broke has to be seen to be gone.
const exitGrace = 100 * time.Millisecond

// start starts the plugin's process and returns the client to it.
func start(ctx context.Context, spec Spec, dir string, log *slog.Logger) (*process.Process, pluginv1.PluginClient, error) {
	p, err := process.Start(ctx, process.Options{
		Command: process.Command{
			Name: spec.Name, Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: dir, SHA256: spec.SHA256,
		},
		Handshake:  pluginv1.Handshake,
		Plugins:    map[int]plugin.PluginSet{pluginv1.Version: {pluginv1.Name: &pluginv1.Adapter{}}},
		MaxMessage: pluginv1.MaxMessage, Logger: log,
	})
	if err != nil {
		return nil, nil, err
	}
	raw, err := p.Dispense(pluginv1.Name)
	if err != nil {
		p.Stop(ctx)
		return nil, nil, fmt.Errorf("dispense plugin %s: %w", spec.Name, err)
	}
	return p, raw.(pluginv1.PluginClient), nil
}

// Check starts the plugin for a moment and returns its manifest, and a
// [*Refusal] where it or its configuration is not acceptable.
func Check(ctx context.Context, spec Spec, runtimeDir string, log *slog.Logger) (*pluginv1.Manifest, error) {
	p, client, err := start(ctx, spec, runtimeDir, log)
	if err != nil {
		return nil, err
	}
	defer p.Stop(ctx)
	manifest, _, err := Configure(ctx, client, spec)
	return manifest, err
}
