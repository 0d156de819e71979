package faults

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// restartPause is what a supervisor waits before it starts a bridge again
	// that ended by itself.
	restartPause = 500 * time.Millisecond
	// stopTimeout is how long SIGTERM may take: 10 s are promised.
	stopTimeout = 12 * time.Second
)

// process keeps one bridge running, as a supervisor does: what ends unasked is
// started again, and counted.
type process struct {
	path string
	args []string
	log  io.Writer // a file, so that nothing but the child writes to it
	// changed has room for one: up is no longer what it was.
	changed chan struct{}

	mu      sync.Mutex
	up      bool          // it should run
	child   *os.Process   // nil: it does not
	ended   chan struct{} // closed when the child has ended
	crashes []string
}

func newProcess(path string, log io.Writer, args ...string) *process {
	return &process{path: path, args: args, log: log, changed: make(chan struct{}, 1)}
}

// Run starts the process when it is wanted, until ctx ends; then it is killed.
func (p *process) Run(ctx context.Context) error {
	// On Linux the child dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		cmd, err := p.begin(ctx)
		if err != nil {
			return err
		}
		if cmd == nil {
			select {
			case <-p.changed:
			case <-ctx.Done():
			}
			continue
		}
		if unasked := p.finish(ctx, cmd.Wait()); unasked {
			_ = pass(ctx, restartPause) // ctx is looked at above
		}
	}
	return nil
}

// begin starts the process where it is wanted.
func (p *process) begin(ctx context.Context) (*exec.Cmd, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.up {
		return nil, nil
	}
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = p.log, p.log, attributes()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the bridge: %w", err)
	}
	p.child, p.ended = cmd.Process, make(chan struct{})
	return cmd, nil
}

// finish notes that the process has ended, and says whether nobody asked it to.
func (p *process) finish(ctx context.Context, err error) (unasked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.ended)
	p.child = nil
	if unasked = p.up && ctx.Err() == nil; unasked {
		p.crashes = append(p.crashes, fmt.Sprintf("the bridge ended by itself: %v", err))
	}
	return unasked
}

// start wants the process to run.
func (p *process) start() {
	p.mu.Lock()
	p.up = true
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// stop sends the signal and returns when the process has ended. It is not
// started again before start.
func (p *process) stop(ctx context.Context, signal syscall.Signal) error {
	p.mu.Lock()
	p.up = false
	child, ended := p.child, p.ended
	p.mu.Unlock()
	if child == nil {
		return nil
	}
	if err := child.Signal(signal); err != nil {
		return fmt.Errorf("send %s to the bridge: %w", signal, err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	}
	p.mu.Lock()
	p.crashes = append(p.crashes, fmt.Sprintf("the bridge did not stop within %s of %s", stopTimeout, signal))
	p.mu.Unlock()
	_ = child.Kill() // fails where it has just ended
	<-ended
	return nil
}

// unasked are the ends that nobody asked for.
func (p *process) unasked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.crashes...)
}
