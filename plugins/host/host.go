// Package host runs plugins: it starts each in a process of its own, checks
// what it declares against what the operator granted, feeds it events, carries
// out its requests, and starts it again when it ends.
//
//	Feeds ──▶ package feed: lanes, window, retries ──▶ line ══ gRPC ══▶ plugin
//	Actions, Store, Timers, Backend ◀── grants ◀── line ◀══════════════ plugin
//
// # What it promises
//
// Events of a feed come in order per conversation, at least once: the next of
// a conversation is delivered when the one before has its outcome, through
// retries and restarts. A conversation in retry holds up itself alone; a
// paused feed holds up its plugin's other feeds not at all. What is out of
// attempts is a dead letter before it is acknowledged.
//
// A plugin sees events of the accounts and types that it was granted, and may
// take the actions that it was granted. One that crashes, hangs or floods
// costs the others nothing: every plugin has its own process, goroutines,
// window and bounds, and nothing here waits for one without a deadline.
//
// # Supervision
//
// Each plugin has one owner, a state machine: starting, running, waiting,
// refused, crashlooping, paused, stopped. One that ends is started again after
// 1 s and, each time it does, twice as long, up to 2 min, with a jitter of half;
// that begins anew after 10 min of health. Five crashes within 10 min, and it is
// set aside until the operator restarts it or changes its configuration. What
// the bridge or NATS could not do is no crash. It is pinged every 10 s, and
// silence of 10 s after that is a crash; of what it says of its own health the
// operator reads. With another configuration ([Host.Apply]) the new process is
// configured before the old one drains, and is fed only when the old one is
// gone: no event is inside both, none is lost.
//
// The host knows neither NATS nor the outbox nor a backend: it is given [Parts].
package host

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Spec is one plugin as the operator wants it.
type Spec struct {
	// Name is what it runs under; [a-z0-9-]+.
	Name string
	// Path is the executable, absolute; Args and Env are all that it gets.
	Path string
	Args []string
	Env  []string
	// SHA256 is what the executable must hash to at every start; nil: it is
	// not checked.
	SHA256 []byte
	// Accounts, Events and Actions are what it was granted. Empty grants
	// nothing.
	Accounts []string
	Events   []event.Pattern
	Actions  []event.ActionType
	// Config is the plugin's configuration, one JSON object.
	Config []byte
	// Shown is Config as it may be shown, as far as that can be told without
	// the plugin's schema; nil: it is not shown.
	Shown []byte
	// StoreBytes is how much it may keep, keys and values and timers together;
	// 0: 16 MiB. Who makes the [Store] holds it.
	StoreBytes int64
	// ActionRate is how many actions it may ask for in a second, typing
	// included; 0: 100. Twice as many may come at once.
	ActionRate float64
}

// Feeds opens streams of events. It is safe for concurrent use.
type Feeds interface {
	// Open returns the durable feed of that plugin and name, from where it
	// stood. One feed of a name is open at a time.
	Open(ctx context.Context, spec feed.Spec) (feed.Source, error)
	// Live calls fn for each typing event until stop is called. fn must not
	// block.
	Live(ctx context.Context, spec feed.Spec, fn func(event.Event)) (stop func(), err error)
}

// Limits bound what a plugin can hold up. A zero field is its default.
type Limits struct {
	// Window is how many events of one feed are inside the plugin at once, or
	// fewer where the feed asks for it; default 256.
	Window int
	// Held is how many events of one feed are in memory, waiting for their
	// conversation's turn; default 4096. Beyond it no more are requested.
	Held int
	// Parked is how many of one feed may wait in all, in retry or behind one;
	// of those beyond Held no more than the place is kept. Default 65,536.
	Parked int
	// Retries are the waits of a feed that names none; default 1 s, 5 s, 30 s,
	// 2 min, 10 min, 30 min, 1 h.
	Retries []time.Duration
	// Timeout is how long a plugin has for one delivery of a feed that names
	// nothing else; default 25 s.
	Timeout time.Duration
	// Drain is how long a plugin has to finish what it has in hand; default
	// 3 s.
	Drain time.Duration
	// Requests is how many requests of one plugin are worked on at once;
	// default 64. Beyond it the plugin waits.
	Requests int
}

func (l Limits) withDefaults() Limits {
	if l.Window <= 0 {
		l.Window = 256
	}
	if l.Held <= 0 {
		l.Held = 4096
	}
	if l.Parked <= 0 {
		l.Parked = 65536
	}
	if l.Timeout <= 0 {
		l.Timeout = 25 * time.Second
	}
	if len(l.Retries) == 0 {
		l.Retries = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute,
			10 * time.Minute, 30 * time.Minute, time.Hour}
	}
	if l.Drain <= 0 {
		l.Drain = 3 * time.Second
	}
	if l.Requests <= 0 {
		l.Requests = 64
	}
	return l
}

// Options are what a [Host] is made of.
type Options struct {
	Parts  Parts
	Limits Limits
	// Ended is told when a process of a plugin has ended; nil: nobody wants to
	// know. It must not block for long.
	Ended func(plugin string)
	// decoded is what all plugins' filters share; nil: nothing.
	decoded *filter.Cache
	// RuntimeDir is where the plugins' sockets are; 0700, a short path.
	RuntimeDir string
	// TracerProvider makes the spans; nil: nothing is traced.
	TracerProvider trace.TracerProvider
	Log            *slog.Logger
}
