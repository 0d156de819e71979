package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killHost has a host start a plugin, kills the host, and returns the ids of
// the plugin and of the plugin's child (0: it has none).
func killHost(t *testing.T, role string) (plugin, child int) {
	t.Helper()
	dir := runtimeDir(t)
	host := exec.Command(Self())
	host.Env = append(roleEnv(role), "DIR="+dir)
	host.Stderr = t.Output()
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fscan(stdout, &plugin, &child)
	if err != nil || !alive(plugin) || child != 0 && !alive(child) {
		host.Process.Kill()
		host.Wait()
		t.Fatalf("no plugin: pid %d and %d, %v", plugin, child, err)
	}
	host.Process.Signal(syscall.SIGKILL)
	host.Wait()
	return plugin, child
}

func TestPluginDiesWithItsHost(t *testing.T) {
	pid, _ := killHost(t, "host")
	began := time.Now()
	within(t, 10*time.Second, "the plugin is gone", func() bool { return !alive(pid) })
	t.Logf("gone after %s", time.Since(began))
}

// mayMakeNamespaces says whether we have CAP_SYS_ADMIN.
func mayMakeNamespaces(t *testing.T) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "CapEff:")
	effective, err := strconv.ParseUint(strings.Fields(rest)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

func TestNothingOutlivesAHostThatIsKilled(t *testing.T) {
	plugin, child := killHost(t, "host of a family")
	within(t, 10*time.Second, "the plugin is gone", func() bool { return !alive(plugin) })
	if !mayMakeNamespaces(t) {
		t.Log("without a PID namespace the child in a session of its own lives on: it is only seen that the plugin does not")
		syscall.Kill(child, syscall.SIGKILL)
		return
	}
	within(t, 10*time.Second, "the child in a session of its own is gone", func() bool { return !alive(child) })
}

func TestNothingOutlivesAPluginInItsNamespace(t *testing.T) {
	if !mayMakeNamespaces(t) {
		t.Log("no PID namespace is to be had: what is left is that plugins work without one")
	}
	for _, end := range []string{"killed", "stopped by the host"} {
		t.Run(end, func(t *testing.T) {
			p := start(t, options(t, "escaped family"))
			child, _ := strconv.Atoi(call(t, p, "child"))
			if !alive(child) {
				t.Fatal("the plugin has no child")
			}
			defer func() {
				if alive(child) {
					syscall.Kill(child, syscall.SIGKILL)
				}
			}()
			if own := call(t, p, "pid"); (own == "1") != mayMakeNamespaces(t) {
				t.Fatalf("the plugin's own pid is %s", own)
			}
			if end == "killed" {
				syscall.Kill(p.PID(), syscall.SIGKILL)
			} else {
				p.Stop(t.Context())
			}
			exitsWithin(t, 10*time.Second, p)
			if mayMakeNamespaces(t) {
				within(t, 10*time.Second, "the child is gone", func() bool { return !alive(child) })
			}
		})
	}
}

// A plugin is stopped and killed from outside as anything else, though it is
// the first of its namespace.
func TestAPluginCanBeStoppedFromOutside(t *testing.T) {
	p := start(t, options(t, "healthy"))
	syscall.Kill(p.PID(), syscall.SIGSTOP)
	// Its threads stop one by one, each when it runs next.
	within(t, 10*time.Second, "it is stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		return err == nil && !slices.ContainsFunc(threads, func(file string) bool {
			stat, err := os.ReadFile(file)
			return err != nil || !strings.Contains(string(stat), ") T ")
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Ping(ctx); err == nil {
		t.Error("it answers though it is stopped")
	}
	syscall.Kill(p.PID(), syscall.SIGCONT)
	if err := p.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	syscall.Kill(p.PID(), syscall.SIGTERM)
	exitsWithin(t, 10*time.Second, p)
}

// What it sees of files and users is what the host sees.
func TestANamespaceChangesNoUser(t *testing.T) {
	p := start(t, options(t, "healthy"))
	for _, kind := range []string{"user", "mnt", "net"} {
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", p.PID(), kind))
		ours, _ := os.Readlink("/proc/self/ns/" + kind)
		if err != nil || theirs != ours {
			t.Errorf("its %s namespace is %s, ours %s: %v", kind, theirs, ours, err)
		}
	}
}

// The kernel kills a child when the thread dies that started it, so that must
// not be one that the Go program ends.
func TestPluginOutlivesTheThreadOfItsStart(t *testing.T) {
	opts := options(t, "healthy")
	started := make(chan *Process)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		p, err := Start(t.Context(), opts)
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	p := <-started
	if p == nil {
		return
	}
	defer nothingLeft(t, opts)
	defer p.Stop(t.Context())
	for range 50 {
		ended := make(chan struct{})
		go func() { runtime.LockOSThread(); close(ended) }()
		<-ended
		if err := p.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStdinIsEmpty(t *testing.T) {
	p := start(t, options(t, "healthy"))
	if got := call(t, p, "stdin"); got != os.DevNull {
		t.Errorf("stdin is %s", got)
	}
}
