package link_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/test/bufconn"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	good  secret.Text = "g00d-token"
	wrong secret.Text = "wr0ng-token"
	// ever is longer than any test.
	ever = 1000 * time.Hour
)

// rig is a link of the real connector to a simulated backend, over connections
// in memory, all in a bubble of virtual time.
type rig struct {
	*link.Link
	t    *testing.T
	sim  *simulator.Server
	stop context.CancelCauseFunc
	over chan struct{} // closed when Run has returned
	err  error         // what it returned
	news chan struct{} // of a dial or a change

	mu      sync.Mutex
	dials   []time.Time
	token   secret.Text
	hang    bool // handshakes get no answer
	history []link.Status
	frames  []connectors.Frame
	lines   []*line // of all dials
	hooks   int     // calls of Recycled
}

// line is the client's end of a connection.
type line struct {
	net.Conn
	written atomic.Int64
	stalled atomic.Bool // what is said vanishes, both ways
}

func (l *line) Write(p []byte) (int, error) {
	l.written.Add(int64(len(p)))
	if l.stalled.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

func (l *line) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || !l.stalled.Load() {
			return n, err
		}
	}
}

// line is that of the nth dial.
func (r *rig) line(n int) *line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[n]
}

// inBubble runs the test in a bubble, whose end asserts that no goroutine is
// left.
func inBubble(t *testing.T, run func(*testing.T, *rig), change ...func(*link.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { run(t, newRig(t, simulator.Options{}, change...)) })
}

func newRig(t *testing.T, backend simulator.Options, change ...func(*link.Options)) *rig {
	backend.Accounts = []simulator.Account{{ID: "7", Token: good}}
	r := &rig{
		t: t, token: good, over: make(chan struct{}), news: make(chan struct{}, 1),
		sim: simulator.New(backend),
	}
	memory := bufconn.Listen(64 << 10)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		hang := r.hang
		r.mu.Unlock()
		if hang {
			<-req.Context().Done()
			return
		}
		r.sim.ServeHTTP(w, req)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(memory) })
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := memory.DialContext(ctx)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, &line{Conn: conn})
		return r.lines[len(r.lines)-1], nil
	}}
	t.Cleanup(func() {
		_ = r.end(errors.New("the test is over"))
		_ = r.sim.Close()
		_ = server.Close()
		serving.Wait()
	})
	o := link.Options{
		Dialer: account.New(account.Options{
			Account: "7", WSURL: "ws://backend", MessageType: event.MessageOutgoing,
			HTTPClient: &http.Client{Transport: transport},
			Token: func() (secret.Text, error) { // once for each dial
				r.mu.Lock()
				defer r.mu.Unlock()
				r.dials = append(r.dials, time.Now())
				r.poke()
				return r.token, nil
			},
		}),
		Frame: func(_ context.Context, f connectors.Frame) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.frames = append(r.frames, f)
			return nil
		},
		Changed: func(s link.Status) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.history = append(r.history, s)
			r.poke()
		},
		Recycled: func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.hooks++
			r.poke()
		},
		Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	r.Link = link.New(o)
	return r
}

// run starts the link and returns when it waits for something.
func (r *rig) run() {
	ctx, stop := context.WithCancelCause(context.Background())
	r.stop = stop
	go func() {
		defer close(r.over)
		r.err = r.Link.Run(ctx)
	}()
	synctest.Wait()
}

func (r *rig) poke() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// end stops the link and returns what Run returned.
func (r *rig) end(cause error) error {
	if r.stop == nil {
		return nil
	}
	r.stop(cause)
	<-r.over
	return r.err
}

func (r *rig) fault(f simulator.Fault) {
	r.t.Helper()
	f.Account = "7"
	if err := r.sim.SetFault(f); err != nil {
		r.t.Fatal(err)
	}
}

// down makes the backend answer with 503, and drops what is open.
func (r *rig) down() { r.fault(simulator.Fault{Name: simulator.Restart, Duration: ever}) }

func (r *rig) up() {
	r.t.Helper()
	if _, err := r.sim.ClearFault("7", ""); err != nil {
		r.t.Fatal(err)
	}
}

// until lets time pass until the condition on dials and changes holds.
func (r *rig) until(what string, condition func() bool) {
	r.t.Helper()
	late := time.After(100 * time.Hour)
	for synctest.Wait(); !condition(); synctest.Wait() {
		select {
		case <-r.news:
		case <-late:
			r.t.Fatalf("in hours not %s; status %+v", what, r.Status())
		}
	}
}

func (r *rig) is(s link.State) func() bool { return func() bool { return r.Status().State == s } }

func (r *rig) dialed(n int) func() bool { return func() bool { return len(r.dialTimes()) >= n } }

func (r *rig) dialTimes() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.dials)
}

func (r *rig) changes() []link.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.history)
}

// wants asserts the state and what its reason has in it.
func (r *rig) wants(s link.State, reason string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.Status(); got.State != s || !strings.Contains(got.Reason, reason) {
		r.t.Fatalf("status = %+v, want %s because of %q", got, s, reason)
	}
}

// stays asserts that nothing is dialed in a day.
func (r *rig) stays(s link.State) {
	r.t.Helper()
	before := len(r.dialTimes())
	time.Sleep(24 * time.Hour)
	r.wants(s, "")
	if n := len(r.dialTimes()); n != before {
		r.t.Fatalf("%d dials in a day away", n-before)
	}
}

func (r *rig) do(command func(context.Context) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := command(ctx); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func waits(dials []time.Time) []time.Duration {
	var list []time.Duration
	for i := range len(dials) - 1 {
		list = append(list, dials[i+1].Sub(dials[i]))
	}
	return list
}

// inRange asserts that the samples lie between the bounds and reach near both:
// evenly distributed, this many miss a third of it once in ten million times.
func inRange(t *testing.T, what string, samples []time.Duration, low, high time.Duration) {
	t.Helper()
	least, most := slices.Min(samples), slices.Max(samples)
	margin := (high - low) / 3
	if least < low || most > high || least > low+margin || most < high-margin {
		t.Errorf("%s: waits of %s to %s, want them all over %s to %s", what, least, most, low, high)
	}
}

const samples = 40
