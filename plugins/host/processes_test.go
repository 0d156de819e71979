package host_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const roleVar = "HOST_TEST_ROLE"

// play is the main of a plugin's process.
func play(role string) {
	switch role {
	case "recorder":
		sdk.Serve(recorder(func(context.Context, *sdk.Host, string) error { return nil }))
	case "slow":
		sdk.Serve(recorder(func(context.Context, *sdk.Host, string) error {
			time.Sleep(5 * time.Millisecond)
			return nil
		}))
	case "fragile":
		sdk.Serve(recorder(crashTwice))
	case "hangs":
		sdk.Serve(recorder(func(context.Context, *sdk.Host, string) error {
			for {
				time.Sleep(time.Hour)
			}
		}))
	case "picky":
		sdk.Serve(sdk.Plugin[settings]{Name: "picky", Version: "1.2.3", Events: []string{"*"},
			Configure: func(_ context.Context, _ *sdk.Host, c settings) ([]sdk.Feed, error) {
				if len(c.Endpoints) == 0 {
					return nil, &sdk.ConfigError{Path: "/endpoints", Err: errors.New("needs at least one")}
				}
				return []sdk.Feed{{}}, nil
			}})
	case "floods":
		serveRaw(&raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
			for {
				if err := s.Send(outcomes(acked(1), acked(1<<60))); err != nil {
					return err
				}
			}
		}})
	case "no plugin":
		fmt.Println("I am no plugin")
	default:
		panic("no role " + role)
	}
}

// serveRaw is sdk.Serve for a plugin without the SDK.
func serveRaw(p pluginv1.PluginServer) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  pluginv1.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{pluginv1.Version: {pluginv1.Name: &pluginv1.Adapter{Impl: p}}},
		GRPCServer:       func(opts []grpc.ServerOption) *grpc.Server { return grpc.NewServer(opts...) },
	})
}

// thisProcess names this process. Its id does not: in a PID namespace it is 1.
var thisProcess = rand.Text()

// recorder tells of each event that it handles by an action, whose id has the
// event and the process, and then works on it.
func recorder(work func(ctx context.Context, h *sdk.Host, id string) error) sdk.Plugin[struct{}] {
	p := withFeeds()
	p.Configure = func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
		return []sdk.Feed{{Handlers: sdk.Handlers{OnEvent: func(ctx context.Context, d *sdk.Delivery) error {
			id := d.Event.ID + "/" + thisProcess
			if _, err := d.Do(ctx, event.Action{ID: id, Type: event.MarkAsRead}); err != nil {
				return err
			}
			return work(ctx, h, d.Event.ID)
		}}}}, nil
	}
	return p
}

// crashTwice crashes over event a-2, until it remembers that it has twice.
func crashTwice(ctx context.Context, h *sdk.Host, id string) error {
	crashes, err := h.Get(ctx, "crashes")
	if err != nil && !errors.Is(err, sdk.ErrNotFound) {
		return err
	}
	if id != "a-2" || len(crashes) == 2 {
		return nil
	}
	if err := h.Put(ctx, "crashes", append(crashes, 'x')); err != nil {
		return err
	}
	os.Exit(3)
	return nil
}

// role is the spec of a plugin of that name and role.
func role(name, role string) host.Spec {
	spec := granted()
	spec.Name, spec.Path = name, process.Self()
	spec.Env = []string{roleVar + "=" + role, "GORACE=atexit_sleep_ms=0"}
	return spec
}

// hosted is a host that runs.
type hosted struct {
	*host.Host
	w    *world
	stop func()
}

// startHost runs plugins until the test ends, and then sees that nothing of
// them is left.
func startHost(t *testing.T, w *world, limits host.Limits, specs ...host.Spec) *hosted {
	t.Helper()
	o := options(t, w, limits)
	o.RuntimeDir = runtimeDir(t)
	h := &hosted{Host: host.New(specs, o), w: w}
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel(errEnough)
		if err := <-ended; !errors.Is(err, errEnough) {
			t.Errorf("Run returned %v", err)
		}
		for _, s := range h.Status() {
			if s.State != host.Stopped || s.PID != 0 || s.Reason != errEnough.Error() {
				t.Errorf("plugin %s is %s (pid %d) after the end: %s", s.Name, s.State, s.PID, s.Reason)
			}
		}
		nothingLeft(t, o.RuntimeDir)
	})
	t.Cleanup(h.stop)
	return h
}

var errEnough = errors.New("the test is over")

// runtimeDir has a short path, unlike t.TempDir's.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a child process is left (wait4: %d, %v)", pid, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left in the runtime directory: %v, %v", files, err)
	}
}

func (h *hosted) status(name string) host.Status {
	all := h.Status()
	return all[slices.IndexFunc(all, func(s host.Status) bool { return s.Name == name })]
}

// reaches waits until a plugin is in a state.
func (h *hosted) reaches(t *testing.T, name string, state host.State) host.Status {
	t.Helper()
	var s host.Status
	eventually(t, name+" is "+string(state), func() bool { s = h.status(name); return s.State == state })
	return s
}

// handled are the events that recorders told of, with their processes.
func (w *world) handled(plugin string) (ids []string, pids []string, at []time.Time) {
	for _, a := range w.taken() {
		if a.sender == plugin {
			id, pid, _ := strings.Cut(a.ID, "/")
			ids, pids, at = append(ids, id), append(pids, pid), append(at, a.taken)
		}
	}
	return ids, pids, at
}

func TestAPluginThatCrashesGoesOnWithWhatItHadNotDone(t *testing.T) {
	w := newWorld(20 * time.Second)
	w.publish(message("a", 1), message("a", 2), message("a", 3))
	h := startHost(t, w, host.Limits{}, role("tester", "fragile"))
	h.reaches(t, "tester", host.Running)
	first := h.reaches(t, "tester", host.Waiting)
	if first.PID != 0 || !strings.Contains(first.Reason, "exit status 3") {
		t.Errorf("after the crash: pid %d, %q", first.PID, first.Reason)
	}
	w.acked(t, defaultFeed, 3)

	ids, pids, at := w.handled("tester")
	if want := []string{"a-1", "a-2", "a-2", "a-2", "a-3"}; !slices.Equal(ids, want) {
		t.Fatalf("handled %v, want %v", ids, want)
	}
	if pids[0] != pids[1] || pids[1] == pids[2] || pids[2] == pids[3] || pids[3] != pids[4] {
		t.Errorf("by processes %v", pids)
	}
	if got := w.ackedIDs(defaultFeed); !slices.Equal(got, []string{"a-1", "a-2", "a-3"}) {
		t.Errorf("acknowledged %v", got)
	}
	// From 1 s, doubled, and either way by half of it at random.
	if first, second := at[2].Sub(at[1]), at[3].Sub(at[2]); first < time.Second/2 || second < time.Second {
		t.Errorf("started again after %s and %s", first, second)
	}
	if s := h.status("tester"); s.State != host.Running || s.Restarts != 2 || s.Version != "1" || s.Reason != "" {
		t.Errorf("status %+v", s)
	}
}

func TestNothingIsLostAndOrderHoldsThroughKills(t *testing.T) {
	const conversations, each = 30, 20
	w := newWorld(30 * time.Second)
	for n := range each {
		for c := range conversations {
			w.publish(message(strconv.Itoa(c), n+1))
		}
	}
	h := startHost(t, w, host.Limits{Window: 16}, role("tester", "slow"))
	for _, handled := range []int{100, 350} {
		w.until(t, fmt.Sprintf("%d events handled", handled), func() bool { return len(w.actions) >= handled })
		if err := syscall.Kill(h.status("tester").PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if s := h.reaches(t, "tester", host.Waiting); !strings.Contains(s.Reason, "killed") {
			t.Errorf("after the kill: %q", s.Reason)
		}
	}
	w.acked(t, defaultFeed, conversations*each)
	done := map[string]int{}
	ids, _, _ := w.handled("tester")
	for _, id := range ids {
		conversation, number, _ := strings.Cut(id, "-")
		n, _ := strconv.Atoi(number)
		if last := done[conversation]; n != last && n != last+1 {
			t.Errorf("%s handled after %d of its conversation", id, last)
		}
		done[conversation] = n
	}
	for c, n := range done {
		if n != each {
			t.Errorf("conversation %s was handled up to %d", c, n)
		}
	}
	if again := len(ids) - conversations*each; again > 2*16 {
		t.Errorf("%d events were handled again: more than were inside", again)
	}
}

func TestARefusedConfigurationIsNotTriedAgain(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"by the schema", `{"endpoints":[{"url":1}]}`, "/endpoints/0/url: is a number, and must be text"},
		{"by the plugin", `{"endpoints":[]}`, "/endpoints: needs at least one"},
	}
	w := newWorld(10 * time.Second)
	var specs []host.Spec
	for i, tt := range tests {
		spec := role("picky-"+strconv.Itoa(i), "picky")
		spec.Config = []byte(tt.config)
		specs = append(specs, spec)
	}
	h := startHost(t, w, host.Limits{}, specs...)
	for i, tt := range tests {
		s := h.reaches(t, specs[i].Name, host.Refused)
		if !strings.Contains(s.Reason, tt.want) || s.PID != 0 {
			t.Errorf("refused %s: pid %d, %q, want %q", tt.name, s.PID, s.Reason, tt.want)
		}
	}
	// Longer than any first wait before a restart.
	for over := time.After(1600 * time.Millisecond); ; {
		for _, s := range h.Status() {
			if s.State != host.Refused || s.Restarts != 0 {
				t.Fatalf("%s is %s after %d restarts", s.Name, s.State, s.Restarts)
			}
		}
		select {
		case <-over:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestTheHostEndsInTimeWithAStoppedPlugin(t *testing.T) {
	w := newWorld(10 * time.Second)
	large := fmt.Appendf(nil, "%q", strings.Repeat("x", 64<<10))
	h := startHost(t, w, host.Limits{Drain: 300 * time.Millisecond}, role("tester", "hangs"))
	w.publish(message("a", 1))
	w.until(t, "an event inside", func() bool { return len(w.actions) == 1 })
	if err := syscall.Kill(h.status("tester").PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for c := range 100 { // more than any buffer on the way takes
		e := message(strconv.Itoa(c), 1)
		e.Data = large
		w.publish(e)
	}
	began := time.Now()
	h.stop()
	// To drain, to end when asked, to be gone when killed.
	if took, limit := time.Since(began), 300*time.Millisecond+2*time.Second+time.Second; took > limit+time.Second {
		t.Errorf("the host took %s to end, want at most %s", took, limit)
	}
}

func TestOnePluginsFaultIsNotAnothers(t *testing.T) {
	w := newWorld(20 * time.Second)
	h := startHost(t, w, host.Limits{Drain: 100 * time.Millisecond},
		role("hangs", "hangs"), role("floods", "floods"), role("dies", "no plugin"), role("good", "recorder"))
	h.reaches(t, "good", host.Running)
	h.reaches(t, "floods", host.Running)
	w.until(t, "the others' feeds", func() bool { return len(w.open) == 3 })
	var worst time.Duration
	for n := range 100 {
		began := time.Now()
		w.publish(message("a", n))
		w.acked(t, "good/default", n+1)
		worst = max(worst, time.Since(began))
	}
	if worst > time.Second {
		t.Errorf("an event took %s", worst)
	}
	if got := len(w.ackedIDs("hangs/default")); got != 0 {
		t.Errorf("%d events of the plugin that hangs are acknowledged", got)
	}
	if s := h.reaches(t, "dies", host.Waiting); s.Reason == "" {
		t.Error("nothing says why the dead one is not running")
	}
	t.Logf("slowest of 100: %s", worst)
}

func TestCheck(t *testing.T) {
	missing, text := role("missing", ""), role("text", "")
	missing.Path = filepath.Join(t.TempDir(), "not-there")
	text.Path = filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text.Path, []byte("a text"), 0o600); err != nil {
		t.Fatal(err)
	}
	good, bad, changed := role("good", "picky"), role("bad", "picky"), role("changed", "picky")
	good.Config = []byte(`{"endpoints":[{"url":"https://x"}]}`)
	bad.Config = []byte(`{"endpoints":[{"url":1}],"evry":"30s"}`)
	changed.Config, changed.SHA256 = good.Config, make([]byte, 32)
	tests := []struct {
		spec    host.Spec
		version string
		want    []string // parts of the error; none: no error
	}{
		{good, "1.2.3", nil},
		{bad, "1.2.3", []string{"plugin bad", "/endpoints/0/url", "evry"}},
		{role("stranger", "no plugin"), "", []string{"stranger"}},
		{missing, "", []string{"missing", "not-there"}},
		{text, "", []string{"text"}},
		{changed, "", []string{"changed", "sha256"}},
	}
	for _, tt := range tests {
		t.Run(tt.spec.Name, func(t *testing.T) {
			dir := runtimeDir(t)
			manifest, err := host.Check(t.Context(), tt.spec, dir, slog.New(slog.DiscardHandler))
			if (err == nil) != (len(tt.want) == 0) {
				t.Errorf("error %v", err)
			}
			for _, part := range tt.want {
				if err != nil && !strings.Contains(strings.ToLower(err.Error()), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if manifest.GetVersion() != tt.version {
				t.Errorf("version %q, want %q", manifest.GetVersion(), tt.version)
			}
			nothingLeft(t, dir)
		})
	}
}
