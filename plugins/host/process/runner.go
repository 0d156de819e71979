package process

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

var _ runner.Runner = (*child)(nil)

// drainTimeout is for reading what a dead process left in its pipes. All of it
// passes only where a child lives on, in another process group, and holds them.
const drainTimeout = 250 * time.Millisecond

// child is the process, as go-plugin sees it. One goroutine starts it, waits
// for it, kills its group and closes its pipes, and go-plugin reads none of
// them: it gets the handshake alone. Its own reader of stderr can be made to
// panic by a log line, and its reader of stdout to give up by a long one.
type child struct {
	cmd      *exec.Cmd
	log      *slog.Logger
	shared   bool
	greeting greeting
	stdout   *output
	stderr   *output

	// handshake carries the accepted line to go-plugin; it ends with the child.
	handshake      *io.PipeReader
	handshakeWrite *io.PipeWriter

	// gone is closed when the process is reaped and its pipes are closed;
	// state, written before, says how it ended.
	gone  chan struct{}
	state *os.ProcessState

	mu      sync.Mutex
	pid     int      // 0: not started
	ended   bool     // by now the pid may be another's
	socket  string   // once the handshake is accepted
	conn    net.Conn // the last that was dialled
	refusal error
}

func newChild(opts Options, dir string, quota *quota) *child {
	cmd := exec.Command(opts.Path, opts.Args...)
	cmd.SysProcAttr = sysProcAttr()
	c := &child{
		cmd:      cmd,
		log:      opts.Logger,
		shared:   opts.shared,
		greeting: newGreeting(opts.Plugins, dir),
		stdout:   newOutput(opts.Logger, quota),
		stderr:   newOutput(opts.Logger, quota),
		gone:     make(chan struct{}),
	}
	c.handshake, c.handshakeWrite = io.Pipe()
	return c
}

// Start starts the process. Not its context but kill, before or after, is what
// calls it off.
func (c *child) Start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errEnded
	}
	started := make(chan error)
	go c.run(started)
	if err := <-started; err != nil {
		c.ended = true
		close(c.gone)
		return err
	}
	c.pid = c.cmd.Process.Pid
	return nil
}

var errEnded = errors.New("process has ended")

// run stays on its thread for as long as the process lives: to the kernel that
// thread is the parent whose death is the child's.
func (c *child) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	stdout, stderr, err := c.start()
	started <- err
	if err != nil {
		return
	}
	defer stdout.Close()
	defer stderr.Close()
	var readers, reading sync.WaitGroup
	reading.Add(2)
	readers.Go(func() { reading.Done(); c.readStdout(stdout) })
	readers.Go(func() { reading.Done(); io.Copy(c.stderr, stderr) })

	c.reap()
	c.hangUp()
	reading.Wait() // a read that begins after its deadline gets nothing of what is there
	deadline := time.Now().Add(drainTimeout)
	stdout.SetReadDeadline(deadline)
	stderr.SetReadDeadline(deadline)
	readers.Wait()
	c.stdout.flush()
	c.stderr.flush()
	c.handshakeWrite.Close()
	c.state = c.cmd.ProcessState
	close(c.gone)
}

func (c *child) start() (stdout, stderr *os.File, err error) {
	stdout, stdoutWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdoutWrite.Close()
	stderr, stderrWrite, err := os.Pipe()
	if err != nil {
		stdout.Close()
		return nil, nil, err
	}
	defer stderrWrite.Close()
	c.cmd.Stdout, c.cmd.Stderr = stdoutWrite, stderrWrite
	if err := c.launch(); err != nil {
		stdout.Close()
		stderr.Close()
		return nil, nil, err
	}
	return stdout, stderr, nil
}

// readStdout hands the handshake to go-plugin and all that follows to the log.
func (c *child) readStdout(stdout io.Reader) {
	in := bufio.NewReaderSize(stdout, maxHandshake)
	// An error is told by the end of the process, or was by the line's.
	if line, _ := in.ReadSlice('\n'); len(line) > 0 {
		socket, err := c.greeting.check(string(line))
		c.mu.Lock()
		c.socket, c.refusal = socket, err
		c.mu.Unlock()
		if err == nil {
			c.handshakeWrite.Write(line)
		}
		c.handshakeWrite.Close()
	}
	io.Copy(c.stdout, in)
}

// dial connects to the plugin, for the one connection that go-plugin has.
func (c *child) dial(ctx context.Context, _ string) (net.Conn, error) {
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		conn.Close()
		return nil, errEnded
	}
	c.conn = conn
	return conn, nil
}

// hangUp closes the connection. The end of the process does not, where a
// forked child holds the socket; go-plugin would wait for it.
func (c *child) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
}

// refused says why the handshake was not accepted; nil: it was, or none came.
func (c *child) refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusal
}

// kill ends the process and its group. A child that is not yet started never
// will be.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case c.pid == 0:
		c.ended = true
		close(c.gone)
	default:
		syscall.Kill(-c.pid, syscall.SIGKILL)
	}
}

// PID is 0 for a child that was not started.
func (c *child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// ID is how go-plugin asks whether there is a process.
func (c *child) ID() string {
	if pid := c.PID(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

func (c *child) Name() string { return c.cmd.Path }

// Stdout has the handshake only.
func (c *child) Stdout() io.ReadCloser { return c.handshake }

// Stderr is empty.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (c *child) Wait(context.Context) error {
	<-c.gone
	return nil
}

func (c *child) Kill(context.Context) error {
	c.kill()
	return nil
}

func (c *child) Diagnose(context.Context) string { return "" }

func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
