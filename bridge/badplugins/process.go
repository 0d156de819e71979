package badplugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopPatience is how long the bridge may take for SIGTERM before it is killed:
// 10 s are promised, and what is longer is counted.
const stopPatience = 20 * time.Second

// bridge is the program that is measured, in a process of its own.
type bridge struct {
	cmd   *exec.Cmd
	log   *os.File // a file, so that nothing but the child writes to it
	ended chan struct{}
	err   error // once ended is closed

	mu    sync.Mutex
	child *os.Process // nil: not started
}

func newBridge(binary, config string, log *os.File) *bridge {
	return &bridge{cmd: exec.Command(binary, "run", "--config", config), log: log, ended: make(chan struct{})}
}

// Run runs it, until it ends or ctx does; then it is killed.
func (b *bridge) Run(ctx context.Context) {
	// On Linux the child dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(b.ended)
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.SysProcAttr = b.log, b.log, attributes()
	if err := b.cmd.Start(); err != nil {
		b.err = fmt.Errorf("start the bridge: %w", err)
		return
	}
	b.mu.Lock()
	b.child = b.cmd.Process
	b.mu.Unlock()
	release := context.AfterFunc(ctx, func() { _ = b.child.Kill() }) // fails where it has just ended
	defer release()
	b.err = b.cmd.Wait()
}

// stop sends SIGTERM and returns how long it took to end, and how it ended
// where that was not in good order.
func (b *bridge) stop(ctx context.Context) (took time.Duration, wrong string) {
	select {
	case <-b.ended:
		return 0, fmt.Sprintf("it had ended by itself: %v", b.err)
	default:
	}
	b.mu.Lock()
	child := b.child
	b.mu.Unlock()
	began := time.Now()
	if err := child.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, fmt.Sprintf("it could not be signalled: %v", err)
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-b.ended:
	case <-ctx.Done():
		return 0, context.Cause(ctx).Error()
	case <-timer.C:
		_ = child.Kill() // fails where it has just ended
		<-b.ended
		return time.Since(began), "it did not end by SIGTERM"
	}
	if b.err != nil {
		return time.Since(began), fmt.Sprintf("it ended with %v", b.err)
	}
	return time.Since(began), ""
}
