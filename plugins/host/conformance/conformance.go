// Package conformance runs a plugin, in any language, through what every plugin
// must keep to, and says of each rule whether it does, what was seen, and how to
// mend it.
//
//	Run ──▶ check ──▶ start the plugin anew ──▶ session ══ gRPC ══▶ plugin
//	                                              ▲  actions, store, look-ups
//	                                              └── answered from memory, or by Options
//
// It speaks the protocol (proto/plugin/v1) by itself and not through the host,
// so that it sees what the host forgives. Each check has a plugin of its own: one
// that fails leaves nothing behind for the next.
//
// Where there is a [Command], the plugin is a process, and is also held to what
// concerns processes. It is started as the bridge does it: with mutual TLS, and
// with no environment but the one that is given.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Options are what to test, and with what.
type Options struct {
	// Command is the executable to test. Nil: Start is used.
	Command *Command
	// Start starts the plugin anew, in memory.
	Start func(ctx context.Context) (client pluginv1.PluginClient, stop func(), err error)

	// Config is a configuration under which it works, one JSON object. Empty:
	// {}.
	Config []byte
	// Accounts are those that it is granted. Empty: those of the events.
	Accounts []string
	// Events are what it is given; each is taken as often as is needed, for
	// conversations of its own. Empty: one of each type.
	Events []event.Event
	// Act does an action that was accepted, as for a simulated backend; nil: none
	// is done. An error is told to the plugin.
	Act func(ctx context.Context, a event.Action) error
	// LookUp reads a conversation; nil: it is made of Events.
	LookUp func(ctx context.Context, account, conversation string) (host.Conversation, error)
	// Only says which checks are run, by name; nil: all.
	Only func(name string) bool
	// Patience bounds what has no bound in the protocol, such as the start of a
	// process. 0: 30 s.
	Patience time.Duration
	// Bound is the most that is waited for what should come soon. 0: what the
	// protocol says, and some more for a busy machine.
	Bound time.Duration
}

// within is how long the suite waits for what should come within d.
func (o *Options) within(d time.Duration) time.Duration {
	if o.Bound > 0 {
		return min(d, o.Bound)
	}
	return d
}

// Check is one rule.
type Check struct {
	// Name is [a-z-]+.
	Name string
	// Rule is what a plugin keeps to, in one line.
	Rule string
	// Mend is how one that does not is mended.
	Mend string
	// Process says that it is about processes alone.
	Process bool

	run func(ctx context.Context, o *Options) error
}

// Result is what came of a check.
type Result struct {
	Check
	// Err is what was seen where the plugin does not keep to it.
	Err error
	// Note is something to know though it does: that it was not put to the test.
	Note string
	Took time.Duration
}

// note is a check's way to say that all is well, but.
type note string

func (n note) Error() string { return string(n) }

// Checks are all of them, in the order in which they are run.
func Checks() []Check {
	list := []Check{
		{"start", "it starts, serves and says what it is", mendStart, false, checkStart},
		{"manifest", "its manifest is sound", mendManifest, false, checkManifest},
		{"config", "it takes the configuration and declares sound feeds", mendConfig, false, checkConfig},
		{"unknown-key", "it refuses a configuration with a key that it does not know", mendUnknown, false, checkUnknownKey},
		{"no-config", "Connect before Configure is refused", mendEarly, false, checkEarlyConnect},
		{"configure-twice", "a second Configure does no harm", mendTwice, false, checkConfigureTwice},
		{"outcomes", "every delivery gets one outcome, and only one", mendOutcomes, false, checkOutcomes},
		{"actions", "its actions are valid and of the types in its manifest", mendActions, false, checkActions},
		{"redelivery", "an event that comes again makes the same actions with the same ids", mendRedelivery, false, checkRedelivery},
		{"unknown-type", "an event of a type that it does not know is done", mendUnknownType, false, checkUnknownType},
		{"bad-data", "data that it cannot read does not bring it down", mendBadData, false, checkBadData},
		{"large", "a message of 6 MiB is taken", mendLarge, false, checkLarge},
		{"timer", "a timer that it does not know gets an outcome", mendTimer, false, checkTimer},
		{"ping", "a ping is answered at once, also while handlers wait", mendPing, false, checkPing},
		{"drain", "when drained, it finishes what it has in hand and ends the line", mendDrain, false, checkDrain},
	}
	return append(list, processChecks...)
}

// Run runs the checks, tells each result as it comes, and returns how many
// failed. A plugin that does not start is held to nothing else. An error is of
// ctx, or of the options.
func Run(ctx context.Context, o Options, told func(Result)) (failed int, err error) {
	if (o.Command == nil) == (o.Start == nil) {
		return 0, errors.New("test a plugin: give a command, or how to start it in memory")
	}
	o = o.withDefaults()
	for _, c := range Checks() {
		if c.Process && o.Command == nil || o.Only != nil && !o.Only(c.Name) {
			continue
		}
		r := Result{Check: c}
		began := time.Now()
		if err := c.run(ctx, &o); errors.As(err, new(note)) {
			r.Note = err.Error()
		} else {
			r.Err = err
		}
		r.Took = time.Since(began)
		if ctx.Err() != nil {
			return failed, context.Cause(ctx)
		}
		told(r)
		if r.Err != nil {
			failed++
			if c.Name == "start" {
				return failed, nil
			}
		}
	}
	return failed, nil
}

func (o Options) withDefaults() Options {
	if len(o.Config) == 0 {
		o.Config = []byte("{}")
	}
	if len(o.Events) == 0 {
		o.Events = Samples()
	}
	if len(o.Accounts) == 0 {
		seen := map[string]bool{}
		for _, e := range o.Events {
			if !seen[e.Account] {
				seen[e.Account] = true
				o.Accounts = append(o.Accounts, e.Account)
			}
		}
	}
	if o.Patience <= 0 {
		o.Patience = 30 * time.Second
	}
	return o
}

// start starts the plugin anew.
func (o *Options) start(ctx context.Context) (pluginv1.PluginClient, func(), error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Patience, fmt.Errorf("not within %s", o.Patience))
	defer cancel()
	if o.Start != nil {
		return o.Start(ctx)
	}
	p, err := launch(ctx, *o.Command)
	if err != nil {
		return nil, nil, err
	}
	return p.client, p.end, nil
}

// spec is what the host would be told of the plugin.
func (o *Options) spec() host.Spec {
	return host.Spec{Name: under, Accounts: o.Accounts, Config: o.Config}
}

// under is the name that the plugin runs under.
const under = "under-test"
