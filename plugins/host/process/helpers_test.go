package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/interop/grpc_testing"
)

// runtimeDir is short, unlike t.TempDir's.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func options(t *testing.T, role string) Options {
	return Options{
		Command:   Command{Name: "tester", Path: Self(), Env: roleEnv(role), Dir: runtimeDir(t)},
		Handshake: testHandshake,
		Plugins:   testPlugins,
		Logger:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func start(t *testing.T, opts Options) *Process {
	t.Helper()
	p, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(context.Background())
		nothingLeft(t, opts)
	})
	return p
}

// call has the plugin do as the words say, and returns its answer.
func call(t *testing.T, p *Process, words string) string {
	t.Helper()
	answer, err := tryCall(t.Context(), p, words)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func tryCall(ctx context.Context, p *Process, words string) (string, error) {
	client, err := p.Dispense("test")
	if err != nil {
		return "", err
	}
	answer, err := client.(grpc_testing.TestServiceClient).UnaryCall(ctx,
		&grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: []byte(words)}})
	return string(answer.GetPayload().GetBody()), err
}

// nothingLeft checks that this process has no child and opts.Dir no file.
func nothingLeft(t *testing.T, opts Options) {
	t.Helper()
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("a child process is left (wait4: %d, %v)", pid, err)
	}
	if files, err := os.ReadDir(opts.Dir); err != nil || len(files) > 0 {
		t.Errorf("left in the runtime directory: %v, %v", files, err)
	}
}

// alive says whether there is a process of that id that is not a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux" && syscall.Kill(pid, 0) == nil
	}
	state := stat[bytes.LastIndexByte(stat, ')')+2]
	return state != 'Z' && state != 'X'
}

// within waits until is true, and fails the test if that takes too long.
func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// exitsWithin waits for p's end and returns how long it took.
func exitsWithin(t *testing.T, limit time.Duration, p *Process) time.Duration {
	t.Helper()
	began := time.Now()
	select {
	case <-p.Exited():
	case <-time.After(limit):
		t.Fatalf("exit not seen within %s", limit)
	}
	return time.Since(began)
}

// records is a logger's output.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *records) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
}

// all returns what was logged, less the times.
func (r *records) all() []map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(r.buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			panic(err)
		}
		delete(m, slog.TimeKey)
		all = append(all, m)
	}
	return all
}

// find returns the first record with that message.
func (r *records) find(message string) (map[string]any, bool) {
	all := r.all()
	i := slices.IndexFunc(all, func(m map[string]any) bool { return m["msg"] == message })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// wait waits for a record with that message.
func (r *records) wait(t *testing.T, message string) (found map[string]any) {
	t.Helper()
	within(t, 5*time.Second, "a record "+message, func() (ok bool) {
		found, ok = r.find(message)
		return ok
	})
	return found
}
