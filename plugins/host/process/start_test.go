package process

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestStartAndStop(t *testing.T) {
	opts := options(t, "healthy")
	p := start(t, opts)
	if p.Version() != 1 {
		t.Errorf("version %d, want 1", p.Version())
	}
	if err := p.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	if got := call(t, p, "repeat 3"); got != "xxx" {
		t.Errorf("answer %q, want xxx", got)
	}
	if err := p.Err(); err != nil {
		t.Errorf("Err of a running process: %v", err)
	}

	began := time.Now()
	p.Stop(t.Context())
	if took := time.Since(began); took > time.Second {
		t.Errorf("a willing plugin took %s to stop", took)
	}
	if err := p.Err(); err == nil || err.Error() != "ended with exit status 0" {
		t.Errorf("Err: %v", err)
	}
	if err := p.Ping(t.Context()); err == nil {
		t.Error("ping answered after Stop")
	}
	p.Stop(t.Context())
}

func TestPluginGetsOnlyItsEnvironment(t *testing.T) {
	t.Setenv("HOST_SECRET", "hunter2")
	opts := options(t, "healthy")
	opts.Env = append(opts.Env, "GREETING=hello")
	p := start(t, opts)
	var got []string
	for kv := range strings.SplitSeq(call(t, p, "environment"), "\x00") {
		if name, _, _ := strings.Cut(kv, "="); !strings.HasPrefix(name, "PLUGIN_") {
			got = append(got, kv)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(append(opts.Env, "PROCESS_TEST=yes")))
	if !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	opts := options(t, "healthy")
	opts.MaxMessage = 1 << 16
	p := start(t, opts)
	if _, err := tryCall(t.Context(), p, "repeat 70000"); err == nil || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("an answer over the bound: %v", err)
	}
	if _, err := tryCall(t.Context(), p, strings.Repeat("x", 70000)); err == nil || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("a request over the bound: %v", err)
	}
}

func TestBrokerDoesNotRun(t *testing.T) {
	p := start(t, options(t, "healthy"))
	_, err := p.grpc.Conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/plugin.GRPCBroker/StartStream")
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("start its stream: %v", err)
	}
}

func TestLongestRuntimeDirectory(t *testing.T) {
	if MaxDir < 80 {
		t.Fatalf("MaxDir is %d", MaxDir)
	}
	opts := options(t, "healthy")
	base := opts.Dir
	opts.Dir = base + "/" + strings.Repeat("d", MaxDir-len(base)-1)
	for range 5 { // the length of the socket's name varies
		start(t, opts).Stop(t.Context())
	}

	opts.Dir += "d"
	_, err := Start(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "choose a shorter runtime directory") {
		t.Errorf("a directory that is too long: %v", err)
	}
}

func TestSocketDirectoryIsTheHostsAlone(t *testing.T) {
	opts := options(t, "healthy")
	opts.Dir = filepath.Join(opts.Dir, "made")
	p := start(t, opts)
	for _, dir := range []string{opts.Dir, p.dir} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %s", dir, info.Mode())
		}
	}
}

func TestChecksum(t *testing.T) {
	opts := options(t, "healthy")
	file, err := os.ReadFile(opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	opts.SHA256 = sum[:]
	start(t, opts)

	bad := options(t, "healthy")
	bad.SHA256 = make([]byte, sha256.Size)
	_, err = Start(t.Context(), bad)
	var mismatch *ChecksumError
	if !errors.As(err, &mismatch) || !slices.Equal(mismatch.Actual, sum[:]) || !slices.Equal(mismatch.Expected, bad.SHA256) {
		t.Errorf("a wrong checksum: %v", err)
	}
}

// A file that is no plugin, and one that is a plugin and behaves badly: each
// is refused in one line that names it and leaves nothing.
func TestStartFails(t *testing.T) {
	files := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name    string
		path    string
		role    string
		timeout time.Duration
		is      error
		says    []string
	}{
		{name: "relative path", path: "bin/plugin", says: []string{`"bin/plugin" is not absolute`}},
		{name: "missing file", path: files + "/none", is: fs.ErrNotExist, says: []string{files + "/none", "mend the path"}},
		{name: "directory", path: files, says: []string{"is not a file"}},
		{name: "not executable", path: write("plain", "", 0o600), is: fs.ErrPermission, says: []string{"chmod +x"}},
		{name: "not a program", path: write("text", "just text", 0o700), says: []string{"is not a program for"}},
		{name: "missing interpreter", path: write("script", "#!/no/such/shell\n", 0o700), is: fs.ErrNotExist, says: []string{"interpreter"}},
		{name: "exits at once", role: "exit", says: []string{
			"ended with exit status 3", `"reading the licence | no licence file=/etc/licence"`}},
		{name: "panics at once", role: "panic", says: []string{"ended with exit status 2", `"panic: out of cheese"`}},
		{name: "junk on stdout", role: "junk", is: ErrHandshake, says: []string{`"Hello, I am a plugin!"`, "nothing on stdout"}},
		{name: "endless junk on stdout", role: "endless junk", is: ErrHandshake, says: []string{`"xxx`}},
		{name: "no handshake", role: "silent", timeout: 300 * time.Millisecond, is: context.DeadlineExceeded,
			says: []string{"does not serve after 300ms"}},
		{name: "other cookie", role: "other cookie", says: []string{"ended with exit status 1", "This binary is a plugin", "is a plugin for this host"}},
		{name: "other version", role: "other version", is: ErrHandshake, says: []string{`version "7"`, "[1 2]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := options(t, tt.role)
			opts.StartTimeout = tt.timeout
			if tt.path != "" {
				opts.Path = tt.path
			}
			began := time.Now()
			p, err := Start(t.Context(), opts)
			if p != nil || err == nil {
				t.Fatal("started")
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("failed after %s", took)
			}
			t.Logf("%.300s", err)
			nothingLeft(t, opts)
			var typed *StartError
			if !errors.As(err, &typed) || typed.Plugin != "tester" {
				t.Errorf("not a StartError of the plugin: %#v", err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("is not %v: %v", tt.is, err)
			}
			for _, want := range append(tt.says, `start plugin "tester": `) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %q", want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Error("has more than one line")
			}
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	opts := options(t, "silent")
	reason := errors.New("the host is stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(reason) })
	began := time.Now()
	_, err := Start(ctx, opts)
	if !errors.Is(err, reason) || time.Since(began) > time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	nothingLeft(t, opts)

	_, err = Start(ctx, opts) // ended before it began
	if !errors.Is(err, reason) {
		t.Errorf("with an ended context: %v", err)
	}
	nothingLeft(t, opts)
}

// A plugin that says it serves and does not is as bounded as one that says
// nothing, even when a child of it keeps the socket open.
func TestStartOfDeafPlugin(t *testing.T) {
	for _, role := range []string{"deaf", "deaf with an escaped child"} {
		t.Run(role, func(t *testing.T) {
			opts := options(t, role)
			opts.StartTimeout = 500 * time.Millisecond
			pidfile := filepath.Join(t.TempDir(), "pid")
			opts.Env = append(opts.Env, "PIDFILE="+pidfile)
			began := time.Now()
			_, err := Start(t.Context(), opts)
			if text, err := os.ReadFile(pidfile); err == nil {
				pid, _ := strconv.Atoi(string(text))
				defer syscall.Kill(pid, syscall.SIGKILL)
			}
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
			nothingLeft(t, opts)
		})
	}
}
