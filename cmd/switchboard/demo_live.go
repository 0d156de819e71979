package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// stage is the demo on a terminal: everything in this process at once, and the
// faults that are a key away.
type stage struct {
	d       *demo
	world   *world
	log     *held
	updates chan any

	bridge *bridgeRun // set before run

	mu     sync.Mutex
	paused bool
	next   int // plugin to kill
	// counted is the latest count that was complete: NATS is asked for its
	// part, and may be away.
	counted *summary
}

var _ live.Source = (*stage)(nil)

func newStage(d *demo, w *world, log *held) *stage {
	return &stage{d: d, world: w, log: log, updates: make(chan any, updatesHeld)}
}

// view shows the demo on its stage, where it has one: beside the caller, who
// hears of the view's end, and must call leave, which ends it and waits for
// that.
func (d *demo) view(ctx context.Context, r *bridgeRun) (ended <-chan error, leave func() error) {
	if d.stage == nil {
		return nil, func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	done, gone := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		done <- d.stage.run(ctx, r, d.in, d.out)
	}()
	return done, func() error {
		cancel()
		<-gone
		select {
		case err := <-done:
			return err
		default: // the caller has heard
			return nil
		}
	}
}

// run shows the view until ctx ends or it is left. The log, which goes to the
// same terminal, waits meanwhile.
func (s *stage) run(ctx context.Context, r *bridgeRun, in io.Reader, out io.Writer) error {
	s.bridge = r
	s.log.hold()
	err := live.Run(ctx, live.Options{Source: s, Every: 500 * time.Millisecond, Marks: true, Keys: s.keys(), In: keyboard(in), Out: out})
	return errors.Join(err, s.log.release())
}

func (s *stage) Updates() <-chan any { return s.updates }

// tell passes an event on.
func (s *stage) tell(ctx context.Context) func(api.Event) error {
	return newTeller(ctx, s.updates).event
}

// done is told when a plugin is done with an event. It stands in the way of
// the feeds, so that a view that cannot follow misses some.
func (s *stage) done(plugin string, e event.Event, dead bool) {
	if e.By == plugin { // it was not delivered
		return
	}
	select {
	case s.updates <- live.Done{Event: e.ID, Plugin: plugin, Dead: dead}:
	default:
	}
}

// Status joins what the bridge says of itself with what the others counted.
func (s *stage) Status(ctx context.Context) (live.Status, error) {
	v := s.bridge.status().live()
	v.Title = fmt.Sprintf("demo, account %s at %s", s.d.account, s.world.backendURL)
	sum, err := count(ctx, s.bridge, s.world, s.d.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		v.Note = "paused"
	}
	if err == nil {
		s.counted = sum
	}
	if s.counted == nil {
		return v, nil
	}
	for i, p := range s.counted.Plugins {
		v.Plugins[i].Due, v.Plugins[i].Delivered, v.Plugins[i].Receiver = &p.Due, p.Delivered, p.Receiver
	}
	v.Ends, v.Counts = []string{"BACKEND", "BRIDGE", "STREAM"}, s.counted.live()
	return v, nil
}

// live is the summary as rows: typing is one, and so are actions, of which the
// bridge counts those that it accepted and the stream those that came back.
func (s *summary) live() []live.Count {
	var list []live.Count
	typing := live.Count{Name: "typing"}
	var shown, backend uint64
	for _, e := range s.Events {
		if e.Type.Live() {
			shown += e.Received
			if e.Backend != nil {
				backend += *e.Backend
				typing.Cells = []*uint64{&backend, &shown, nil}
			} else {
				typing.Cells = []*uint64{nil, &shown, nil}
			}
			continue
		}
		list = append(list, live.Count{Name: string(e.Type), Cells: []*uint64{e.Backend, &e.Received, e.Published}, Total: e.Received})
	}
	typing.Total = shown
	a := s.Actions
	return append(list, typing, live.Count{Name: "actions", Cells: []*uint64{a.Backend, &a.Accepted, &a.Confirmed}, Total: a.Accepted})
}

// keys are the faults; those of the backend only where it is ours.
func (s *stage) keys() []live.Key {
	kill := live.Key{Name: "k", Help: "kill a plugin", Do: s.kill}
	cut := live.Key{Name: "n", Help: "cut NATS", Do: func(context.Context) (string, error) {
		return "cut the connection to NATS", s.bridge.bus.Cut()
	}}
	if s.world.backend == nil {
		return []live.Key{kill, cut}
	}
	return []live.Key{
		{Name: "p", Help: "pause/resume", Do: func(context.Context) (string, error) { return s.pause(), nil }},
		kill,
		{Name: "d", Help: "drop the socket", Do: func(context.Context) (string, error) {
			return "dropped the backend's socket", s.world.backend.SetFault(simulator.Fault{Account: s.d.account, Name: simulator.Drop})
		}},
		cut,
	}
}

func (s *stage) pause() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused = !s.paused; s.paused {
		s.world.backend.Pause()
		return "paused the customers"
	}
	s.world.backend.Resume()
	return "let the customers go on"
}

// kill kills the next plugin that runs, as kill -9 does.
func (s *stage) kill(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	plugins := s.bridge.host.Status()
	for range plugins {
		p := plugins[s.next%len(plugins)]
		s.next++
		if p.State != host.Running || p.PID == 0 {
			continue
		}
		process, err := os.FindProcess(p.PID)
		if err == nil {
			err = process.Kill()
		}
		if err != nil {
			return "", fmt.Errorf("kill %s: %w", p.Name, err)
		}
		return fmt.Sprintf("killed %s (kill -9 %d)", p.Name, p.PID), nil
	}
	return "", errors.New("no plugin is running now")
}

// held is a writer that keeps what is written while the view has the terminal.
type held struct {
	mu    sync.Mutex
	to    io.Writer
	on    bool
	kept  bytes.Buffer
	spilt int // bytes that there was no room for
}

// maxHeld bounds what is kept.
const maxHeld = 256 << 10

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		return h.to.Write(b)
	}
	if h.kept.Len()+len(b) > maxHeld {
		h.spilt += len(b)
		return len(b), nil
	}
	return h.kept.Write(b)
}

// hold begins to keep.
func (h *held) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = true
}

// release writes what was kept.
func (h *held) release() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = false
	_, err := h.kept.WriteTo(h.to)
	if h.spilt > 0 {
		_, more := fmt.Fprintf(h.to, "… and %d bytes of log more\n", h.spilt)
		h.spilt, err = 0, errors.Join(err, more)
	}
	return err
}
