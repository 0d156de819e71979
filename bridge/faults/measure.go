package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

const (
	// look is how often the stream is compared with the backend.
	look = 500 * time.Millisecond
	// calm is how long nothing may move before it is believed: longer than the
	// bridge's reconcile.interval, after which it would find more.
	calm = 6 * time.Second
	// margin is the part of the load before the fault, and that after it.
	margin = 5
)

// measure makes one row. It returns when nothing of it is left.
func measure(ctx context.Context, f fault, o Options) Row {
	row := Row{Fault: f.name, Tolerated: f.tolerates}
	if err := row.measure(ctx, f, o); err != nil {
		row.Error = err.Error()
	}
	return row
}

func (r *Row) measure(ctx context.Context, f fault, o Options) (err error) {
	rates := split(o.Events)
	w, err := newWorld(f, o, rates)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()

	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	running.Go(func() {
		if err := w.bridge.Run(ctx); err != nil {
			cancel(err)
		}
	})
	w.bridge.start()
	defer func() {
		if o.Log != nil && !(err == nil && r.OK()) {
			r.log(o.Log, w)
		}
	}()
	if err := w.ready(ctx); err != nil {
		return err
	}
	before, err := w.backend.Snapshot(account)
	if err != nil {
		return err
	}

	l := &load{backend: w.backend, random: random(o.Seed, f.name, "load")}
	if err := l.open(o.Conversations); err != nil {
		return err
	}
	most := int(o.Actions * (10*o.For + time.Minute).Seconds())
	s := newSender(w.conn, random(o.Seed, f.name, "actions"), l.conversations, most)
	accepted := make(chan struct{})
	running.Go(func() {
		defer close(accepted)
		s.Run(ctx)
	})
	begun := time.Now()
	if err := r.load(ctx, f, o, w, l, s, rates); err != nil {
		return err
	}
	r.Load = time.Since(begun).Seconds()
	has := func(context.Context) (simulator.Snapshot, error) { return w.backend.Snapshot(account) }
	return r.settle(ctx, sight{js: w.js, has: has, ends: w.bridge.unasked, patience: o.Settle}, truth{before: before}, s, accepted)
}

// sight is what can be seen of a backend and a bridge from outside.
type sight struct {
	js       jetstream.JetStream
	has      func(context.Context) (simulator.Snapshot, error)
	ends     func() []string // of the bridge, unasked
	patience time.Duration
}

// load runs the load while the fault strikes.
func (r *Row) load(ctx context.Context, f fault, o Options, w *world, l *load, s *sender, rates rates) error {
	loading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var parts sync.WaitGroup
	for _, part := range []func() error{
		func() error { return w.backend.Run(loading) },
		func() error { return steps(loading, rates.direct, l.step) },
		func() error { defer s.end(); return steps(loading, o.Actions, s.step) },
	} {
		parts.Go(func() {
			if err := part(); err != nil {
				stop(fmt.Errorf("make the load: %w", err))
			}
		})
	}
	err := func() error {
		if err := pass(loading, o.For/margin); err != nil {
			return err
		}
		if err := f.strike(loading, w, o.For-2*o.For/margin); err != nil {
			return fmt.Errorf("strike: %w", err)
		}
		return pass(loading, o.For/margin)
	}()
	stop(err)
	// Nothing holds the load back now: a part that waits for a socket goes on.
	err = errors.Join(err, w.lift(""))
	parts.Wait()
	return err
}

// settle waits until the stream tells what the backend has and nothing moves any
// more, or until only what stays wrong is, or patience ends.
func (r *Row) settle(ctx context.Context, see sight, t truth, s *sender, accepted <-chan struct{}) error {
	begun := time.Now()
	waiting, cancel := context.WithTimeoutCause(ctx, see.patience, errUnsettled)
	defer cancel()
	stream := &reader{js: see.js}
	var seen [3]int
	var lookErr error
	moved := time.Now()
	err := poll(waiting, look, func() (bool, error) {
		if lookErr = stream.catchUp(ctx); lookErr != nil {
			return false, ctx.Err() // the bridge, or its NATS, is not back yet
		}
		var err error
		if t.after, err = see.has(ctx); err != nil {
			return false, err
		}
		t.told, t.actions = stream.told, s.sent()
		fresh := Row{Fault: r.Fault, Tolerated: r.Tolerated, Load: r.Load}
		fresh.judge(t)
		fresh.crashed(see.ends())
		*r = fresh
		if now := [3]int{t.told.events, len(t.after.Done), len(t.after.Messages)}; now != seen || r.waiting() {
			seen, moved = now, time.Now()
		}
		r.Settled = moved.Sub(begun).Seconds()
		select {
		case <-accepted:
			return time.Since(moved) >= calm, nil
		default:
			return false, nil // somebody still asks
		}
	})
	if errors.Is(err, errUnsettled) {
		r.Settled = time.Since(begun).Seconds()
		if err = lookErr; err == nil && len(r.Bad()) == 0 {
			err = fmt.Errorf("it did not come to rest within %s", see.patience)
		}
	}
	return err
}

var errUnsettled = errors.New("not settled")

// crashed counts the ends of the bridge that nobody asked for.
func (r *Row) crashed(ends []string) {
	for _, text := range ends {
		r.found(&r.Crashes, "crashes", "%s", text)
	}
}

// log copies what the row's bridge has logged.
func (r *Row) log(to io.Writer, w *world) {
	fmt.Fprintf(to, "--- the bridge's log, fault %s\n", r.Fault)
	file, err := os.Open(w.log.Name())
	if err == nil {
		_, err = io.Copy(to, file)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		fmt.Fprintf(to, "--- it cannot be read: %v\n", err)
	}
}
