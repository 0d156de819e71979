package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/config"
)

// playing is a demo that runs, and what it prints.
type playing struct {
	cmd         *exec.Cmd
	out, errOut bytes.Buffer
	dir         string
	client      *api.Client
}

// play starts a demo with its data in a directory of its own, and waits until
// it has published something.
func play(t *testing.T, args ...string) *playing {
	t.Helper()
	dir, err := os.MkdirTemp("", "sb") // a short one: it has a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	p := &playing{cmd: exec.CommandContext(t.Context(), "switchboard", append([]string{"demo", "--rate", "20"}, args...)...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errOut
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	soon(t, "the demo has made its directory", func() bool {
		list, err := filepath.Glob(filepath.Join(os.TempDir(), "sb-demo-*"))
		if err != nil || len(list) != 1 {
			return false
		}
		p.dir = list[0]
		return true
	})
	p.client = api.Dial((&config.Config{DataDir: filepath.Join(p.dir, "data")}).APISocket())
	soon(t, "events are published", func() bool { return p.published(t) > 50 })
	return p
}

func (p *playing) published(t *testing.T) uint64 {
	var s status
	if p.client.Status(t.Context(), &s) != nil || len(s.Accounts) != 1 {
		return 0
	}
	return s.Accounts[0].Inbound.Published
}

// bridge is the process id of the bridge, as a user finds it.
func (p *playing) bridge(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, pidFile))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// soon waits until something holds.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s", patience, what)
		}
	}
}

// runs reports whether a process is there; one that has ended and waits to be
// reaped is not.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, ok := strings.Cut(string(text), ") ")
	return err == nil && ok && !strings.HasPrefix(state, "Z")
}

func TestTheDemoIsEqualInTheEndThoughItsBridgeIsKilled(t *testing.T) {
	p := play(t, "--for", "12s", "--json")
	first := p.bridge(t)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	soon(t, "the bridge is another process", func() bool { return p.bridge(t) != first })
	soon(t, "it publishes", func() bool { return p.published(t) > 50 })
	second := p.bridge(t)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v: %s", err, &p.errOut)
	}
	var s summary
	if err := json.Unmarshal(p.out.Bytes(), &s); err != nil {
		t.Fatalf("%v in %q", err, &p.out)
	}
	if !s.Equal || len(s.Differences) > 0 || s.Restarts != 1 || s.Calm {
		t.Errorf("the summary is %+v", s)
	}
	for _, plugin := range s.Plugins {
		if plugin.Due == 0 || plugin.Delivered != plugin.Due {
			t.Errorf("%s has %d of %d", plugin.Name, plugin.Delivered, plugin.Due)
		}
	}
	if a := s.Actions; a.Backend == nil || *a.Backend == 0 || *a.Backend+a.Covered != a.Confirmed || *a.BackendTwice != 0 {
		t.Errorf("the actions are %+v", a)
	}
	if slices.ContainsFunc([]int{first, second}, runs) {
		t.Errorf("a bridge is left: %d or %d", first, second)
	}
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("the data directory is left: %v", err)
	}
}

func TestNothingIsLeftOfADemo(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			p := play(t, "--plain", "--log-level", "error") // a bridge that logs would end of that
			var s status
			if err := p.client.Status(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
			pids := []int{p.bridge(t)}
			for _, plugin := range s.Plugins {
				pids = append(pids, plugin.PID)
			}
			t.Cleanup(func() {
				for _, pid := range slices.DeleteFunc(pids, func(pid int) bool { return !runs(pid) }) {
					_ = syscall.Kill(pid, syscall.SIGKILL) // the test has failed
				}
			})
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			err := p.cmd.Wait()
			if signal == syscall.SIGINT && (err != nil || !strings.Contains(p.out.String(), "nothing was lost")) {
				t.Errorf("it ended with %v: %s", err, &p.errOut)
			}
			if first := fmt.Sprintf("bridge       pid %d\n", pids[0]); !strings.Contains(p.out.String(), first) {
				t.Errorf("there is no %q in %q", first, &p.out)
			}
			soon(t, "all processes have ended", func() bool { return !slices.ContainsFunc(pids, runs) })
		})
	}
}
