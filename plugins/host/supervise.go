package host

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/switchboard-dev/switchboard/plugins/host/filter"
)

// Host runs a set of plugins. Its methods are safe for concurrent use.
type Host struct {
	o     Options
	start launcher
	// added are plugins that Run has not begun to run; over is closed when Run
	// has returned.
	added chan *supervised
	over  chan struct{}

	applying sync.Mutex // held by Apply
	mu       sync.Mutex
	plugins  []*supervised
}

// ErrNoPlugin says that the host has no plugin of that name.
var ErrNoPlugin = errors.New("no such plugin")

// New returns a host of the given plugins. It starts nothing before Run.
func New(specs []Spec, o Options) *Host { return newHost(specs, o, launch(o.RuntimeDir)) }

func newHost(specs []Spec, o Options, start launcher) *Host {
	o.decoded = filter.NewCache()
	h := &Host{o: o, start: start, added: make(chan *supervised), over: make(chan struct{})}
	for _, s := range specs {
		h.plugins = append(h.plugins, supervise(s, o, h.start))
	}
	return h
}

// Run runs the plugins until ctx ends and each has finished what it had in
// hand and is gone, which takes a few seconds at the most. A plugin's fault is
// not an error of Run: it is in its status and in the log. Run is called once.
func (h *Host) Run(ctx context.Context) error {
	defer close(h.over)
	var running sync.WaitGroup
	for _, p := range h.list() {
		running.Go(func() { p.run(ctx) })
	}
	for {
		select {
		case p := <-h.added:
			running.Go(func() { p.run(ctx) })
		case <-ctx.Done():
			running.Wait()
			return context.Cause(ctx)
		}
	}
}

func (h *Host) list() []*supervised {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.plugins)
}

func (h *Host) find(name string) (*supervised, error) {
	for _, p := range h.list() {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNoPlugin, name)
}

// Status is how the plugins stand now, in the order in which New or Apply got
// them.
func (h *Host) Status() []Status {
	var list []Status
	for _, p := range h.list() {
		list = append(list, p.stats.Snapshot(p.name))
	}
	return list
}

// Applied says what [Host.Apply] did, by the plugins' names.
type Applied struct {
	Added, Changed, Removed []string
	// Failed are those of which the new spec is not in force, or does not run:
	// one that ran goes on as it was, any other is started again as always.
	Failed map[string]error
}

// Apply has the host run these plugins instead, and touches only those whose
// spec is another. A changed one that runs goes on until the new process is
// configured; then it finishes what it has in hand and ends, and only then the
// new one is fed. A changed one that is refused, or does not start, leaves the
// old one running. What was removed finishes and ends; what was added is
// started, and not waited for.
//
// Apply returns when all that is done. It is for a host that runs; the error is
// for one that does not, or for ctx.
func (h *Host) Apply(ctx context.Context, specs []Spec) (Applied, error) {
	h.applying.Lock()
	defer h.applying.Unlock()
	done := Applied{Failed: map[string]error{}}
	old := map[string]*supervised{}
	for _, p := range h.list() {
		old[p.name] = p
	}
	var plugins, added []*supervised
	var asking sync.WaitGroup
	var mu sync.Mutex
	for _, spec := range specs {
		p := old[spec.Name]
		delete(old, spec.Name)
		if p == nil {
			p = supervise(spec, h.o, h.start)
			added, done.Added = append(added, p), append(done.Added, spec.Name)
		} else if !reflect.DeepEqual(*p.inForce.Load(), spec) {
			done.Changed = append(done.Changed, spec.Name)
			asking.Go(func() {
				if err := p.ask(ctx, command{do: change, spec: spec}); err != nil {
					mu.Lock()
					defer mu.Unlock()
					done.Failed[p.name] = err
				}
			})
		}
		plugins = append(plugins, p)
	}
	for _, p := range h.list() { // in order
		if old[p.name] == nil {
			continue
		}
		done.Removed = append(done.Removed, p.name)
		asking.Go(func() {
			if err := p.ask(ctx, command{do: remove}); err != nil && !errors.Is(err, ErrStopped) {
				mu.Lock()
				defer mu.Unlock()
				done.Failed[p.name] = err
			}
		})
	}
	h.mu.Lock()
	h.plugins = plugins
	h.mu.Unlock()
	err := h.run(ctx, added)
	asking.Wait()
	return done, err
}

// run has Run run more plugins.
func (h *Host) run(ctx context.Context, plugins []*supervised) (err error) {
	for _, p := range plugins {
		if err == nil {
			select {
			case h.added <- p:
				continue
			case <-h.over:
				err = ErrStopped
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		p.set(Stopped, err.Error())
		close(p.over)
	}
	return err
}
