package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/process"
)

const (
	// stopTimeout is how long the bridge has after SIGTERM: 10 s are promised.
	stopTimeout = 12 * time.Second
	// pidFile is in the demo's data directory, for who wants to kill the bridge.
	pidFile = "bridge.pid"
)

// ownBridge is the demo's bridge: this program, executed again, so that it can
// be killed. It is started again at once.
type ownBridge struct {
	dir  string
	args []string
	log  io.Writer
	// began is called with the process that runs now, and with the one before
	// it; 0: there was none.
	began func(pid, before int)

	// ended is closed when Run returns.
	ended chan struct{}

	mu      sync.Mutex
	process *os.Process // nil: it does not run
	starts  int
}

func newOwnBridge(dir, config string, d *demo, log io.Writer) *ownBridge {
	return &ownBridge{
		dir: dir, args: []string{"run", "--config", config, "--log-level", d.log.level}, log: log, ended: make(chan struct{}),
	}
}

// Run keeps the bridge running until ctx ends; then it is told to end, and has
// ended when Run returns. A bridge that gives up by itself would do so again,
// and is an error.
func (b *ownBridge) Run(ctx context.Context) error {
	defer close(b.ended)
	// On Linux the child dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for before := 0; ctx.Err() == nil; {
		cmd := exec.CommandContext(ctx, process.Self(), b.args...)
		cmd.Args[0] = os.Args[0] // as people look for it
		cmd.Stderr, cmd.SysProcAttr = b.log, bridgeAttributes()
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = stopTimeout
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start the bridge: %w", err)
		}
		b.note(cmd.Process)
		b.began(cmd.Process.Pid, before)
		before = cmd.Process.Pid
		ended := cmd.Wait()
		b.gone()
		exit, _ := errors.AsType[*exec.ExitError](ended)
		switch {
		case exit != nil && exit.Exited():
			return fmt.Errorf("the bridge ended by itself, with %w", ended)
		case ctx.Err() != nil && exit != nil:
			return fmt.Errorf("the bridge did not end in good order: %w", ended)
		}
	}
	return nil
}

// note keeps the process, and writes its id where others find it; who misses
// that file has the id from what is printed.
func (b *ownBridge) note(p *os.Process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.process = p
	b.starts++
	_ = os.WriteFile(filepath.Join(b.dir, pidFile), []byte(strconv.Itoa(p.Pid)+"\n"), 0o600)
}

func (b *ownBridge) gone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.process = nil
}

// restarts is how often it was started again.
func (b *ownBridge) restarts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.starts-1)
}

// kill kills it, as kill -9 does.
func (b *ownBridge) kill() (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return 0, errors.New("the bridge is being started again")
	}
	if err := b.process.Kill(); err != nil {
		return 0, fmt.Errorf("kill the bridge: %w", err)
	}
	return b.process.Pid, nil
}
