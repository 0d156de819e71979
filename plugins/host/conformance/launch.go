package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Command is an executable to test.
type Command struct {
	// Path is the file, Args and Env are all that it gets; go-plugin's variables
	// are added.
	Path string
	Args []string
	Env  []string
	// Stderr gets what it prints there; nil: nobody does.
	Stderr io.Writer
}

// process is a plugin's process, started without go-plugin, so that what it
// prints and how it ends is seen as it is.
type process struct {
	cmd    *exec.Cmd
	dir    string
	tls    *tls.Config
	conn   *grpc.ClientConn
	client pluginv1.PluginClient
	socket string

	stdout  *os.File
	stderr  *os.File
	printed *tail // what came on stdout after the handshake
	errors  *tail // the last of stderr
	exited  chan struct{}
	reading sync.WaitGroup
	killing sync.Once
}

// spawn starts the executable and waits for nothing. A cookie is what tells a
// plugin that it has a host.
func spawn(c Command, cookie bool) (*process, error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sb-") // short: a socket's path has about 100 bytes
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd: exec.Command(path, c.Args...), dir: dir, printed: &tail{}, errors: &tail{}, exited: make(chan struct{}),
	}
	certificate, conf, err := clientCertificate()
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	p.tls = conf
	p.cmd.Env = slices.Clone(c.Env)
	if cookie {
		p.cmd.Env = append(p.cmd.Env,
			pluginv1.Handshake.MagicCookieKey+"="+pluginv1.Handshake.MagicCookieValue,
			fmt.Sprintf("PLUGIN_PROTOCOL_VERSIONS=%d", pluginv1.Version),
			"PLUGIN_UNIX_SOCKET_DIR="+dir,
			"PLUGIN_CLIENT_CERT="+string(certificate))
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, stdoutWrite, err := os.Pipe()
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	defer stdoutWrite.Close()
	stderr, stderrWrite, err := os.Pipe()
	if err != nil {
		stdout.Close()
		os.RemoveAll(dir)
		return nil, err
	}
	defer stderrWrite.Close()
	p.cmd.Stdout, p.cmd.Stderr, p.stdout, p.stderr = stdoutWrite, stderrWrite, stdout, stderr
	if err := p.cmd.Start(); err != nil {
		stdout.Close()
		stderr.Close()
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	p.reading.Go(func() {
		to := io.Writer(p.errors)
		if c.Stderr != nil {
			to = io.MultiWriter(p.errors, c.Stderr)
		}
		io.Copy(to, stderr)
	})
	go func() {
		p.cmd.Wait() // how it ended is in ProcessState
		close(p.exited)
	}()
	return p, nil
}

// launch starts the executable as the bridge does, and connects to it.
func launch(ctx context.Context, c Command) (*process, error) {
	p, err := spawn(c, true)
	if err != nil {
		return nil, err
	}
	if err := p.greet(ctx); err != nil {
		p.end()
		if said := p.errors.String(); said != "" {
			err = fmt.Errorf("%w; it said: %s", err, said)
		}
		return nil, err
	}
	return p, nil
}

// maxHandshake bounds the first line, most of which is a certificate.
const maxHandshake = 16 << 10

// greet reads the handshake and connects.
func (p *process) greet(ctx context.Context) error {
	first := make(chan string, 1)
	p.reading.Go(func() {
		in := bufio.NewReaderSize(p.stdout, maxHandshake)
		line, _ := in.ReadSlice('\n')
		first <- string(line)
		io.Copy(p.printed, in)
	})
	var line string
	select {
	case line = <-first:
	case <-ctx.Done():
		return fmt.Errorf("no handshake on its stdout: %w", context.Cause(ctx))
	}
	if line == "" {
		select {
		case <-p.exited:
			return fmt.Errorf("it ended (%s) before it served", p.cmd.ProcessState)
		case <-time.After(time.Second):
			return errors.New("it closed its stdout before it served")
		}
	}
	server, socket, err := parseHandshake(line, p.dir)
	if err != nil {
		return err
	}
	p.socket = socket
	p.tls.RootCAs.AddCert(server)
	if p.conn, err = dial(socket, credentials.NewTLS(p.tls)); err != nil {
		return err
	}
	p.client = pluginv1.NewPluginClient(p.conn)
	go p.listen()
	return nil
}

// listen takes what a Go plugin prints after it serves: go-plugin's servers
// send that over the connection, and would wait with what nobody takes.
func (p *process) listen() {
	stream, err := p.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, "/plugin.GRPCStdio/StreamStdio")
	if err != nil {
		return
	}
	if stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
		return
	}
	for stream.RecvMsg(&emptypb.Empty{}) == nil { // ends with the connection
	}
}

// shutdown asks it to end, as the host does, and waits.
func (p *process) shutdown(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	// The answer may be cut off by the end that was asked for.
	err := p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		if err != nil {
			return fmt.Errorf("it runs on after %s; Shutdown was answered with: %w", within, err)
		}
		return fmt.Errorf("it runs on %s after Shutdown", within)
	}
}

// end kills the process and its group, and puts away what is left of it.
func (p *process) end() {
	p.killing.Do(func() {
		if p.conn != nil {
			p.conn.Close()
		}
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
		// A child in another group may hold the pipes open.
		soon := time.Now().Add(time.Second)
		p.stdout.SetReadDeadline(soon)
		p.stderr.SetReadDeadline(soon)
		p.reading.Wait()
		p.stdout.Close()
		p.stderr.Close()
		os.RemoveAll(p.dir)
	})
}

// left reports whether the process, which has ended, left others in its group.
func (p *process) left() bool { return syscall.Kill(-p.cmd.Process.Pid, 0) == nil }

// maxTail is how much of what is printed is kept.
const maxTail = 2 << 10

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	t.kept = t.kept[max(0, len(t.kept)-maxTail):]
	return len(b), nil
}

// String is one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(bytes.ToValidUTF8(t.kept, nil))), " ")
}
