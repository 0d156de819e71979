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
)

// stage is the demo on a terminal: everything at once, and the faults that are
// a key away.
type stage struct {
	d       *demo
	world   *world
	log     *held
	updates chan live.Event

	counter *counter // set before run

	mu     sync.Mutex
	paused bool
	next   int // plugin to kill
	// counted and known are the latest that could be had: the bridge is asked
	// for its part, and may be away.
	counted *summary
	known   *status
}

var _ live.Source = (*stage)(nil)

func newStage(d *demo, w *world, log *held) *stage {
	return &stage{d: d, world: w, log: log, updates: make(chan live.Event, updatesHeld)}
}

// view shows the demo on its stage, where it has one: beside the caller, who
// hears of the view's end, and must call leave, which ends it and waits for
// that.
func (d *demo) view(ctx context.Context, c *counter) (ended <-chan error, leave func() error) {
	if d.stage == nil {
		return nil, func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	done, gone := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		done <- d.stage.run(ctx, c, d.in, d.out)
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
func (s *stage) run(ctx context.Context, c *counter, in io.Reader, out io.Writer) error {
	s.counter = c
	s.log.hold()
	err := live.Run(ctx, live.Options{Source: s, Every: 500 * time.Millisecond, Keys: s.keys(), In: keyboard(in), Out: out})
	return errors.Join(err, s.log.release())
}

func (s *stage) Updates() <-chan live.Event { return s.updates }

// tell passes an event on.
func (s *stage) tell(ctx context.Context) func(api.Event) error {
	return newTeller(ctx, s.updates).event
}

// restarted is told that the bridge runs again. It stands in the way of the
// bridge, so that a view that cannot follow misses it.
func (s *stage) restarted(pid, before int) {
	line := live.Event{Time: time.Now(), Type: "bridge", Text: fmt.Sprintf("pid %d has ended; started again as %d", before, pid)}
	select {
	case s.updates <- line:
	default:
	}
}

// Status joins what the bridge says of itself with what the others counted.
func (s *stage) Status(ctx context.Context) (live.Status, error) {
	sum, now, err := s.counter.count(ctx, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.counted, s.known = sum, now
	}
	if s.counted == nil {
		return live.Status{}, err
	}
	v := s.known.live()
	v.Title = fmt.Sprintf("demo, account %s at %s", s.d.account, s.world.backendURL)
	switch {
	case err != nil:
		v.Note = "the bridge is away"
	case s.paused:
		v.Note = "paused"
	}
	for i, p := range s.counted.Plugins {
		v.Plugins[i].Due, v.Plugins[i].Delivered, v.Plugins[i].Receiver = &p.Due, p.Delivered, p.Receiver
	}
	v.Ends, v.Counts = []string{"BACKEND", "BRIDGE", "STREAM"}, s.counted.live()
	return v, nil
}

// keys are the faults; those of the backend only where it is ours.
func (s *stage) keys() []live.Key {
	kill := live.Key{Name: "k", Help: "kill a plugin", Do: s.kill}
	bridge := live.Key{Name: "b", Help: "kill bridge", Do: func(context.Context) (string, error) {
		pid, err := s.counter.bridge.kill()
		return fmt.Sprintf("killed the bridge (kill -9 %d)", pid), err
	}}
	if s.world.backend == nil {
		return []live.Key{kill, bridge}
	}
	return []live.Key{
		{Name: "p", Help: "pause/resume", Do: func(context.Context) (string, error) { return s.pause(), nil }},
		kill,
		{Name: "d", Help: "drop the socket", Do: func(context.Context) (string, error) {
			return "dropped the backend's socket", s.world.backend.SetFault(simulator.Fault{Account: s.d.account, Name: simulator.Drop})
		}},
		bridge,
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
func (s *stage) kill(ctx context.Context) (string, error) {
	var now status
	if err := s.counter.client.Status(ctx, &now); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range now.Plugins {
		p := now.Plugins[s.next%len(now.Plugins)]
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
