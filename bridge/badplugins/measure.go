package badplugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

const (
	// look is how often the bridge is asked for the plugins' status; every few
	// times, the log and the records are read as well.
	look     = 100 * time.Millisecond
	readEach = 5
	// tail is how long the load goes on when the bad plugin has ended.
	tail = 2 * time.Second
	// startPatience is for a bridge to run its good plugins.
	startPatience = 60 * time.Second
	// goneIn is how long the system may take to end what was killed.
	goneIn = 3 * time.Second
)

// measure makes one row, and returns what its bridge has logged. It returns when
// nothing of it is left.
func measure(ctx context.Context, p badPlugin, o Options) (Row, string) {
	row := Row{Plugin: p.name}
	log, err := row.measure(ctx, p, o)
	if err != nil {
		row.Error = err.Error()
	}
	return row, log
}

func (r *Row) measure(ctx context.Context, p badPlugin, o Options) (log string, err error) {
	w, err := newWorld(p, o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	e := &evidence{bounds: bounds{o.Late, o.TooLate}, judge: p.judge}
	if p.check != "" {
		if e.check, err = w.check(ctx, o); err != nil {
			return "", fmt.Errorf("run `switchboard check`: %w", err)
		}
		e.mustSay = p.check
	}

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { w.bridge.Run(ctx) })
	defer func() {
		if text, readErr := w.logged(); readErr == nil {
			log = text
		}
	}()
	if err := w.ready(ctx); err != nil {
		return "", err
	}
	begun := time.Now()
	if err := w.underLoad(ctx, p, e, o); err != nil {
		return "", err
	}
	r.Load = time.Since(begun).Seconds()
	if err := r.settle(ctx, w, e, o); err != nil {
		return "", err
	}
	if err := w.end(ctx, p, e); err != nil {
		return "", err
	}
	r.conclude(e)
	return "", nil
}

// ready waits until the bridge has its socket and runs the good plugins: the bad
// one must not keep it from that.
func (w *world) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("the bridge does not run the good plugins within %s", startPatience))
	defer cancel()
	return poll(ctx, look, func() (bool, error) {
		select {
		case <-w.bridge.ended:
			return false, fmt.Errorf("the bridge does not start: %w", w.bridge.err)
		default:
		}
		s, err := w.backend.Stats(account)
		if err != nil || s.Sockets.Open == 0 {
			return false, err
		}
		plugins, err := w.plugins(ctx)
		if err != nil {
			return false, nil // it may not be there yet
		}
		return plugins[recorder].State == running && plugins[replier].State == running, nil
	})
}

// underLoad makes the load, and watches, until the bad plugin has ended as it
// must, or patience has.
func (w *world) underLoad(ctx context.Context, p badPlugin, e *evidence, o Options) error {
	loading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	l := &load{backend: w.backend}
	var making sync.WaitGroup
	making.Go(func() {
		if err := l.open(o.Conversations); err != nil {
			stop(err)
		} else if err := l.Run(loading, o.Events); err != nil {
			stop(err)
		}
	})
	defer making.Wait()
	defer stop(nil)
	begun, times := time.Now(), 0
	var asItMust time.Time // since when it has ended
	strike := p.strike
	err := poll(loading, look, func() (bool, error) {
		select {
		case <-w.bridge.ended:
			return true, nil // is told by stop
		default:
		}
		if err := w.watch(loading, e); err != nil {
			return false, err
		}
		if times++; times%readEach != 0 {
			return false, nil
		}
		if err := w.readBad(e); err != nil {
			return false, err
		}
		if strike != nil && len(e.bad.strikes()) > 0 {
			if err := strike(e.bad.now().PID); err != nil {
				return false, fmt.Errorf("strike at the plugin: %w", err)
			}
			strike = nil
		}
		switch since := time.Since(begun); {
		case e.judge(&e.bad) != "":
			asItMust = time.Time{}
			return since > o.Patience, nil
		case asItMust.IsZero():
			asItMust = time.Now()
		}
		return time.Since(begun) > o.For && time.Since(asItMust) > tail, nil
	})
	if err != nil && loading.Err() != nil {
		return context.Cause(loading)
	}
	return err
}

// watch looks how the plugins stand.
func (w *world) watch(ctx context.Context, e *evidence) error {
	plugins, err := w.plugins(ctx)
	if err != nil {
		return err
	}
	if p, there := plugins[bad]; there {
		e.bad.see(time.Now(), p)
	}
	e.goods = []standing{plugins[recorder], plugins[replier]}
	return nil
}

// readBad reads what the bad plugin and the bridge have written.
func (w *world) readBad(e *evidence) (err error) {
	if e.bad.log, err = w.logged(); err != nil {
		return err
	}
	e.bad.records, err = readRecords(w.dir, bad)
	return err
}

// read reads what the good plugins have written, as well.
func (w *world) read(e *evidence) (err error) {
	e.got = map[string][]record{}
	for _, name := range []string{recorder, replier} {
		if e.got[name], err = readRecords(w.dir, name); err != nil {
			return err
		}
	}
	return w.readBad(e)
}

// settle waits until the good plugins have what is on the stream, and the
// backend has done what they asked for, or patience ends.
func (r *Row) settle(ctx context.Context, w *world, e *evidence, o Options) error {
	begun := time.Now()
	waiting, cancel := context.WithTimeoutCause(ctx, o.Settle, errUnsettled)
	defer cancel()
	stream := &reader{js: w.js}
	err := poll(waiting, readEach*look, func() (bool, error) {
		if err := stream.catchUp(ctx); err != nil {
			return false, err
		}
		snapshot, err := w.backend.Snapshot(account)
		if err != nil {
			return false, err
		}
		if err := w.watch(ctx, e); err != nil {
			return false, err
		}
		if err := w.read(e); err != nil {
			return false, err
		}
		e.published, e.done = stream.events, times(snapshot.Done)
		fresh := Row{Plugin: r.Plugin, Load: r.Load}
		fresh.conclude(e)
		return !fresh.waiting(), nil
	})
	r.Settled = time.Since(begun).Seconds()
	if errors.Is(err, errUnsettled) {
		return nil // what is missing is counted
	}
	return err
}

var errUnsettled = errors.New("not settled")

// times counts how often each answer was done.
func times(list []simulator.Done) map[string]int {
	done := map[string]int{}
	for _, d := range list {
		done[d.Content]++
	}
	return done
}

// end ends the bridge by SIGTERM, and looks at what is left of the bad plugin
// before, and of everything after.
func (w *world) end(ctx context.Context, p badPlugin, e *evidence) (err error) {
	if over := []string{refusedState, crashlooping}; slices.Contains(over, e.bad.now().State) {
		if e.left, err = gone(ctx, func() ([]string, error) { return processes(w.dir, " "+p.name+" ") }); err != nil {
			return err
		}
		children, err := gone(ctx, func() ([]string, error) { return processes(w.dir, " "+child+" ") })
		if err != nil {
			return err
		}
		e.left = append(e.left, children...)
		if e.sockets, err = gone(ctx, w.spareSockets); err != nil {
			return err
		}
	}
	e.stopTook, e.stopWrong = w.bridge.stop(ctx)
	after, err := gone(ctx, func() ([]string, error) { return processes(w.dir) })
	if err != nil {
		return err
	}
	e.left = append(e.left, after...)
	sockets, err := w.leftSockets()
	if err != nil {
		return err
	}
	e.sockets = append(e.sockets, sockets...)
	return w.read(e)
}

// gone looks until nothing is there, or the system has had its time; what is
// there still is returned.
func gone(ctx context.Context, look func() ([]string, error)) (left []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, goneIn, errUnsettled)
	defer cancel()
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		left, err = look()
		return len(left) == 0, err
	})
	if errors.Is(err, errUnsettled) {
		err = nil
	}
	return left, err
}

// spareSockets are more than the API and the two good plugins have.
func (w *world) spareSockets() ([]string, error) {
	const goods, api = 2, 1
	names, err := w.leftSockets()
	if err != nil || len(names) <= goods+api {
		return nil, err
	}
	return names[goods+api:], nil
}
