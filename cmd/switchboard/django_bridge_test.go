package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/config"
)

// mortal is a bridge in a process that may be killed and started again.
type mortal struct {
	bridgeProcess
	file, log string
	cmd       *exec.Cmd // nil: it does not run
	ended     chan struct{}
	asked     *atomic.Bool // to end

	mu   sync.Mutex
	ends []string // that nobody asked for
}

func newMortal(t *testing.T, text string) *mortal {
	t.Helper()
	data := t.TempDir()
	m := &mortal{
		file: filepath.Join(data, "switchboard.yaml"), log: filepath.Join(data, "log"),
		bridgeProcess: bridgeProcess{client: api.Dial((&config.Config{DataDir: data}).APISocket())},
	}
	if err := os.WriteFile(m.file, fmt.Appendf(nil, "data_dir: %s\n%s", data, text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.end(t, syscall.SIGTERM)
		if log, err := os.ReadFile(m.log); t.Failed() {
			t.Logf("the bridge's log: %v\n%s", err, log)
		}
	})
	return m
}

func (m *mortal) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd, ended, asked := exec.Command("switchboard", "run", "--config", m.file), make(chan struct{}), new(atomic.Bool)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.cmd, m.ended, m.asked = cmd, ended, asked
	go func() {
		defer close(ended)
		if err := cmd.Wait(); !asked.Load() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.ends = append(m.ends, fmt.Sprintf("the bridge ended by itself: %v", err))
		}
	}()
}

// end ends it by a signal, where it runs.
func (m *mortal) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	if m.cmd == nil {
		return
	}
	m.asked.Store(true)
	_ = m.cmd.Process.Signal(s) // it may have ended by itself, which is counted
	select {
	case <-m.ended:
	case <-time.After(patience):
		t.Errorf("the bridge did not end within %s of %s", patience, s)
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
	m.cmd = nil
}

func (m *mortal) unasked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ends)
}
