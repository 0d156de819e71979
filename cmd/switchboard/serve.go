package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/link/wake"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/bridge/reconcile"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// closeTimeout is how long what is still to be published has at the end. With
// the bounds of the plugins and the outboxes it makes less than 10 s.
const closeTimeout = 3 * time.Second

// exportTimeout is how long the last spans have.
const exportTimeout = time.Second

// serve runs a bridge until ctx ends: built from the bottom up, stopped from
// the top down. re has it take up a changed configuration.
func serve(ctx context.Context, cfg *config.Config, re reload, log *slog.Logger) (err error) {
	seen, err := newTelemetry(ctx, log)
	if err != nil {
		return err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportTimeout)
		defer cancel()
		if err := seen.close(bounded); err != nil {
			log.Warn("telemetry", "error", err)
		}
	}()
	b, err := bus.Open(ctx, bus.Options{
		DataDir: cfg.DataDir, Prefix: cfg.Prefix, URL: cfg.NATS.URL, Credentials: cfg.NATS.Credentials,
		Listen: cfg.NATS.Listen, Bots: busBots(cfg), OperatorPassword: operatorPassword(cfg),
		Accounts: names(cfg.Accounts), MaxAge: cfg.Events.MaxAge, MaxBytes: int64(cfg.Events.MaxBytes), Log: log,
	})
	if err != nil {
		return err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, b.Close(bounded))
	}()

	if !b.Embedded() && !cfg.NATS.Durable {
		log.Warn("an accepted action is as safe as the NATS server's disk: have it write to that before it acknowledges (jetstream: sync_interval: always), and say so by nats.durable: true")
	}
	br := bridge.New(bridge.Options{Bus: b, Accounts: accounts(cfg), TracerProvider: seen.tracer, Log: log})
	specs, err := specs(cfg, names(cfg.Plugins))
	if err != nil {
		return err
	}
	store{b}.limit(specs)
	h := host.New(specs, host.Options{
		Parts: host.Parts{Feeds: feeds{b}, Actions: actions{br.Door()}, Store: store{b}, Timers: timers{b}, Backend: backend{br}},
		Ended: br.Door().SenderGone, RuntimeDir: cfg.RuntimeDir(), TracerProvider: seen.tracer, Log: log,
	})
	bots := outbox.NewBots(br.Door(), outboxBots(cfg), log)
	r := &bridgeRun{cfg, b, br, h, bots, time.Now()}
	if err := observe(seen.meter.Meter(meterName), r); err != nil {
		return fmt.Errorf("make the metrics: %w", err)
	}
	seen.counters.of(h.Status)
	options := api.Options{
		Status: func() any { return r.status() }, Unready: r.unready,
		Act: br.Door().Act, Queue: br.Door(), Dead: b, Replays: b, Tail: b.Tail, Link: br.Link, Plugins: hostPlugins{h},
		Metrics: seen.page, Log: log,
	}
	// What a killed bridge left there; the lock says that nobody uses it.
	if err := os.RemoveAll(cfg.RuntimeDir()); err != nil {
		return fmt.Errorf("empty the runtime directory: %w", err)
	}
	socket, err := api.ListenUnix(cfg.APISocket())
	if err != nil {
		return err
	}
	parts := []part{
		{"commands", func(ctx context.Context) error { return api.Serve(ctx, socket, api.Handler(options), log) }},
	}
	if cfg.HTTP.Listen != "" {
		l, err := net.Listen("tcp", cfg.HTTP.Listen)
		if err != nil {
			return errors.Join(fmt.Errorf("http.listen: %w: set it to another address, or leave it empty", err), socket.Close())
		}
		parts = append(parts, part{"http", func(ctx context.Context) error { return api.Serve(ctx, l, api.Health(options), log) }})
	}
	parts = append(parts, part{"nats upkeep", b.Upkeep}, part{"wake", wakes(cfg, br, log)}, part{"bridge", br.Run}, part{"bots", bots.Run}, part{"plugins", h.Run},
		part{"reload", func(ctx context.Context) error { return re.run(ctx, cfg, h, store{b}, log) }})

	log.Info("bridge is running", "version", version, "accounts", len(cfg.Accounts), "plugins", len(cfg.Plugins),
		"bots", len(cfg.Bots), "nats", natsName(b), "data", cfg.DataDir)
	if len(cfg.Plugins)+len(cfg.Bots) == 0 {
		log.Info(noPlugins)
	}
	return runAll(ctx, parts)
}

// part is one of what runs side by side; its run blocks until ctx ends.
type part struct {
	name string
	run  func(context.Context) error
}

// runAll runs the parts until ctx ends or one of them fails, and stops them
// from the last to the first, one after the other.
func runAll(ctx context.Context, parts []part) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	type started struct {
		stop context.CancelCauseFunc
		done chan struct{}
	}
	var list []started
	var mu sync.Mutex
	var failed error
	for _, p := range parts {
		partCtx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
		s := started{stop, make(chan struct{})}
		list = append(list, s)
		go func() {
			defer close(s.done)
			if err := p.run(partCtx); partCtx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				if failed == nil {
					failed = fmt.Errorf("%s ended: %w", p.name, err)
				}
				fail(failed)
			}
		}()
	}
	<-ctx.Done()
	for _, s := range slices.Backward(list) {
		s.stop(context.Cause(ctx))
		<-s.done
	}
	return failed
}

// wakes tells every link when the machine slept, or its network came back.
func wakes(cfg *config.Config, br *bridge.Bridge, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return wake.Watch(ctx, log, func(why wake.Reason) {
			for name := range cfg.Accounts {
				br.Link(name).Wake(why)
			}
		})
	}
}

func natsName(b *bus.Bus) string {
	switch {
	case !b.Embedded():
		return b.Address()
	case b.Address() == "":
		return "embedded, no port"
	}
	return "embedded at " + b.Address()
}

func accounts(cfg *config.Config) []bridge.Account {
	var list []bridge.Account
	for name, a := range cfg.Accounts {
		list = append(list, bridge.Account{
			Name: name, Connector: builtinConnectors[a.Connector](name, a),
			Self:    outbox.Self{SenderType: a.Self.SenderType, SenderID: a.Self.SenderID},
			Initial: a.Reconnect.Initial, Max: a.Reconnect.Max, Attempts: a.Reconnect.Attempts,
			Heartbeat: a.Heartbeat.Interval, HeartbeatTimeout: a.Heartbeat.Timeout,
			Recycle: a.Recycle,
			Reconcile: reconcile.Options{
				Interval: a.Reconcile.Interval, Sweep: a.Reconcile.Sweep, Depth: a.Reconcile.Depth,
				Rate: a.Reconcile.Rate, Backfill: a.Backfill.Since,
			},
			Outbox: outbox.Options{
				Loop:   outbox.Loop{Turns: a.Loop.Turns, Within: a.Loop.Within},
				NoEcho: a.Confirm == "none", Unclear: outbox.Unclear(a.Unclear), Rate: a.Outbox.Rate, Attempts: a.Outbox.Attempts,
				Limits: outbox.Limits{Waiting: a.Outbox.Waiting, WaitingPerSender: a.Outbox.WaitingPerSender, Bytes: int64(a.Outbox.Bytes)},
			},
			Debug: a.Debug, Redact: func(s string) string { return secret.Scrub(s, cfg.Secrets()...) },
		})
	}
	return list
}

// specs are the plugins of those names as the host wants them, by name.
func specs(cfg *config.Config, plugins []string) ([]host.Spec, error) {
	var list []host.Spec
	for _, name := range slices.Sorted(slices.Values(plugins)) {
		p := cfg.Plugins[name]
		s := host.Spec{
			Name: name, Accounts: p.Accounts, Events: event.Patterns(p.Events),
			ActionRate: p.Rate, StoreBytes: int64(p.Store),
		}
		for _, a := range p.Actions {
			s.Actions = append(s.Actions, event.ActionType(a))
		}
		for key, value := range p.Env {
			s.Env = append(s.Env, key+"="+value)
		}
		slices.Sort(s.Env) // the same is the same after a reload
		if p.Use != "" {
			s.Path, s.Args = process.Self(), []string{"plugin", p.Use}
		} else {
			path, err := filepath.Abs(p.Command[0])
			if err != nil {
				return nil, fmt.Errorf("plugins.%s.command: %w", name, err)
			}
			s.Path, s.Args = path, p.Command[1:]
		}
		var err error
		if p.SHA256 != "" {
			if s.SHA256, err = hex.DecodeString(p.SHA256); err != nil {
				return nil, fmt.Errorf("plugins.%s.sha256: %w", name, err)
			}
		}
		if s.Config, err = json.Marshal(p.Config); err != nil {
			return nil, fmt.Errorf("plugins.%s.config: %w", name, err)
		}
		if s.Shown, err = json.Marshal(p.Redacted()); err != nil {
			return nil, fmt.Errorf("plugins.%s.config: %w", name, err)
		}
		if len(p.Config) == 0 {
			s.Config, s.Shown = []byte("{}"), []byte("{}")
		}
		list = append(list, s)
	}
	return list, nil
}

// bridgeRun is a bridge that runs, to be looked at.
type bridgeRun struct {
	cfg    *config.Config
	bus    *bus.Bus
	bridge *bridge.Bridge
	host   *host.Host
	bots   *outbox.Bots
	since  time.Time
}

func (r *bridgeRun) unready() []string {
	var reasons []string
	if !r.bus.Connected() {
		reasons = append(reasons, "NATS is not connected")
	}
	if err := r.bus.Trouble(); err != nil {
		reasons = append(reasons, err.Error())
	}
	for _, a := range r.bridge.Status() {
		if a.Link.State != link.Connected {
			reasons = append(reasons, fmt.Sprintf("account %s is %s: %s", a.Account, a.Link.State, a.Link.Reason))
		}
	}
	for _, p := range r.host.Status() {
		if p.State != host.Running && p.State != host.Paused { // that one is as it is wanted
			reasons = append(reasons, fmt.Sprintf("plugin %s is %s: %s", p.Name, p.State, p.Reason))
		}
	}
	return reasons
}

// feeds joins the host's feeds to the bus.
type feeds struct{ bus *bus.Bus }

var _ host.Feeds = feeds{}

func (f feeds) Open(ctx context.Context, s feed.Spec) (feed.Source, error) {
	opened, err := f.bus.OpenFeed(ctx, bus.FeedSpec{
		Owner: s.Plugin, Name: s.Feed, Accounts: s.Accounts, Events: s.Events, Held: s.Held, Parked: s.Parked,
	})
	if err != nil {
		return nil, err
	}
	return busFeed{opened}, nil
}

func (f feeds) Live(_ context.Context, s feed.Spec, fn func(event.Event)) (func(), error) {
	return f.bus.Live(s.Accounts, s.Events, fn)
}

type busFeed struct{ *bus.Feed }

func (f busFeed) Next(ctx context.Context) (feed.Delivery, error) {
	d, err := f.Feed.Next(ctx)
	if err != nil {
		return nil, err
	}
	return delivery{d}, nil
}

type delivery struct{ *bus.Delivery }

func (d delivery) Event() event.Event { return d.Delivery.Event }

func (d delivery) Fetch(ctx context.Context) (event.Event, error) {
	e, err := d.Delivery.Fetch(ctx)
	return e, gone(err)
}

func (d delivery) Dead(ctx context.Context, reason string, attempts int) error {
	return gone(d.Delivery.Dead(ctx, reason, attempts))
}

func gone(err error) error {
	if errors.Is(err, bus.ErrGone) {
		return feed.ErrGone
	}
	return err
}
