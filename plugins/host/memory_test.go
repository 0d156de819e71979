package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// memory is where plugins of the real SDK, or raw ones, run as if each were a
// process: it is started, answers over gRPC, and ends of itself or when it is
// stopped. With it, supervision is tested in a bubble.
type memory struct {
	t *testing.T
	// serve is what the n-th start (from 1) of a plugin serves.
	serve func(spec host.Spec, n int) (pluginv1.PluginServer, error)
	// dies is how long after its start each ends of itself; 0: it does not.
	dies func(spec host.Spec, n int) time.Duration

	mu     sync.Mutex
	starts []start
	alive  map[int]func(error) // by pid
	pids   int
	most   int
}

type start struct {
	at   time.Time
	spec host.Spec
}

func (m *memory) start(ctx context.Context, spec host.Spec) (*host.Launched, error) {
	m.mu.Lock()
	m.starts = append(m.starts, start{time.Now(), spec})
	n := 0
	for _, s := range m.starts {
		if s.spec.Name == spec.Name {
			n++
		}
	}
	m.mu.Unlock()
	server, err := m.serve(spec, n)
	if err != nil {
		return nil, err
	}
	client, hangUp := dial(m.t, server)
	exited := make(chan struct{})
	var exit error
	var once sync.Once
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pids++
	pid := m.pids
	end := func(err error) {
		once.Do(func() {
			hangUp()
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.alive, pid)
			exit = err
			close(exited)
		})
	}
	if m.alive == nil {
		m.alive = map[int]func(error){}
	}
	m.alive[pid] = end
	m.most = max(m.most, len(m.alive))
	if m.dies != nil {
		if d := m.dies(spec, n); d > 0 {
			time.AfterFunc(d, func() { end(errDied) })
		}
	}
	return &host.Launched{
		Client: client, PID: pid, Exited: exited, Exit: func() error { return exit },
		Stop: func(context.Context) { end(errors.New("was stopped")) },
	}, nil
}

var errDied = errors.New("ended with exit status 3")

func (m *memory) started() []start {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.starts)
}

// waits are the times between starts.
func (m *memory) waits() (waits []time.Duration) {
	list := m.started()
	for i := 1; i < len(list); i++ {
		waits = append(waits, list[i].at.Sub(list[i-1].at))
	}
	return waits
}

// supervised is a host whose plugins run in memory, in a bubble.
type supervised struct {
	*hosted
	m *memory
}

// inMemory runs a host until the test ends. It must be called in a bubble.
func inMemory(t *testing.T, w *world, m *memory, specs ...host.Spec) *supervised {
	t.Helper()
	m.t = t
	h := &hosted{Host: host.NewIn(specs, options(t, w, host.Limits{}), m.start), w: w}
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel(errEnough)
		if err := <-ended; !errors.Is(err, errEnough) {
			t.Errorf("Run returned %v", err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.alive) > 0 {
			t.Errorf("%d plugins live on", len(m.alive))
		}
	})
	t.Cleanup(h.stop)
	synctest.Wait()
	return &supervised{h, m}
}

// is fails the test unless the plugin is in that state.
func (h *supervised) is(t *testing.T, name string, state host.State) host.Status {
	t.Helper()
	synctest.Wait()
	s := h.status(name)
	if s.State != state {
		t.Fatalf("%s is %s, not %s: %s", name, s.State, state, s.Reason)
	}
	return s
}

// named are specs of plugins of those names.
func named(names ...string) (specs []host.Spec) {
	for _, name := range names {
		spec := granted()
		spec.Name = name
		specs = append(specs, spec)
	}
	return specs
}

func within(d, low, high time.Duration) error {
	if d < low || d > high {
		return fmt.Errorf("%s is not from %s to %s", d, low, high)
	}
	return nil
}
