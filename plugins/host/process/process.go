// Package process runs one plugin executable in a process of its own and talks
// to it through go-plugin, whatever it does.
//
//	Start ──▶ runner: one OS thread starts the child, waits, kills its group
//	            stdout ──▶ handshake ──▶ go-plugin ══ gRPC, mutual TLS ══▶ plugin
//	            stderr ──▶ log records
//
// # What it promises
//
// [Start] ends in time, with a process that answers or with an error of one
// line and nothing left behind. The end of the process is seen within
// milliseconds, and [Process.Stop] returns within a second of its bound, even
// when the plugin is stopped, deaf, or has forked children that hold its
// pipes. On Linux the process dies with its host, kill -9 included. Where the
// host may make PID namespaces (CAP_SYS_ADMIN), all that the plugin started ends
// with it, however it tried to get away.
//
// The plugin gets the environment that it was given and no other, nothing on
// stdin, the host's working directory, and a directory for its socket that
// only the host's user may enter and that is removed with it. What it prints,
// be it endless or forged, costs the host no more than bounded log records.
//
// Not held: without a PID namespace, children that a plugin moves to a process
// group of their own survive it, though without a connection, and those in its
// group survive a host that is killed; and such a host leaves the sockets'
// directories behind, for its successor to remove.
package process

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
)

// Command says what to run.
type Command struct {
	// Name is the plugin's, for logs and errors.
	Name string
	// Path is the executable, absolute. See [Self].
	Path string
	Args []string
	// Env is the whole environment, as "key=value". go-plugin's own variables
	// (PLUGIN_… and the magic cookie) are added; nothing is inherited.
	Env []string
	// Dir is where the directory of the plugin's socket is made, absolute and
	// at most [MaxDir] bytes long. It is made, for the host's user alone, where
	// it does not exist.
	Dir string
	// SHA256 is what the executable must hash to; nil: it is not checked. The
	// file is read before it is executed: whoever may write to it meanwhile is
	// trusted.
	SHA256 []byte
}

// Options is what [Start] needs.
type Options struct {
	Command
	// Handshake's magic cookie tells the plugin that it runs under this host.
	// Its ProtocolVersion is not used.
	Handshake plugin.HandshakeConfig
	// Plugins are what the host can speak, by protocol version.
	Plugins map[int]plugin.PluginSet
	// StartTimeout bounds Start. 0: 30 s.
	StartTimeout time.Duration
	// KillTimeout is what a plugin has for ending when it is asked to, before
	// it is killed. 0: 2 s. go-plugin itself kills 2 s after the plugin has
	// heard it.
	KillTimeout time.Duration
	// MaxMessage bounds one gRPC message either way, in bytes. 0: 16 MiB.
	MaxMessage int
	// Logger gets what the plugin prints and, at debug, what go-plugin has to
	// say, each record with the plugin's name. nil: it is thrown away.
	Logger *slog.Logger

	// shared leaves it in the host's PID namespace, for tests.
	shared bool
}

func (o Options) withDefaults() Options {
	if o.StartTimeout == 0 {
		o.StartTimeout = 30 * time.Second
	}
	if o.KillTimeout == 0 {
		o.KillTimeout = 2 * time.Second
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 16 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With(pluginKey, o.Name)
	return o
}

// killGrace is how long the kernel has for making an end of a killed process.
const killGrace = time.Second

// Process is a plugin that was started. Its methods are safe for concurrent
// use.
type Process struct {
	opts   Options
	dir    string
	child  *child
	client *plugin.Client
	grpc   *plugin.GRPCClient
	// A Go plugin's os.Stdout and os.Stderr come over the connection once it
	// serves.
	stdout, stderr *output

	stopOnce sync.Once
	stop     chan struct{}
	exited   chan struct{}
}

// Start starts the plugin and waits until it answers. Ending ctx, or the
// passing of StartTimeout, kills it; once Start has returned, ctx plays no
// part. An error is a [*StartError].
func Start(ctx context.Context, opts Options) (*Process, error) {
	opts = opts.withDefaults()
	if err := checkExecutable(opts.Command); err != nil {
		return nil, startError(opts.Name, err)
	}
	dir, err := makeSocketDir(opts.Dir)
	if err != nil {
		return nil, startError(opts.Name, err)
	}
	quota := newQuota()
	p := &Process{
		opts:   opts,
		dir:    dir,
		child:  newChild(opts, dir, quota),
		stdout: newOutput(opts.Logger, quota),
		stderr: newOutput(opts.Logger, quota),
		stop:   make(chan struct{}),
		exited: make(chan struct{}),
	}
	p.client = plugin.NewClient(p.clientConfig())

	limited, cancel := context.WithTimeout(ctx, opts.StartTimeout)
	defer cancel()
	release := context.AfterFunc(limited, p.child.kill)
	err = p.connect(limited)
	go p.run()
	if !release() || err != nil {
		err = p.explain(ctx, limited, err)
		p.kill()
		return nil, startError(opts.Name, err)
	}
	return p, nil
}

func (p *Process) clientConfig() *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  p.opts.Handshake,
		VersionedPlugins: p.opts.Plugins,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.dir},
		GRPCDialOptions:  p.dialOptions(),
		Logger:           newChatter(p.opts.Logger),
		SyncStdout:       p.stdout,
		SyncStderr:       p.stderr,
		// Ours comes first, and kills.
		StartTimeout: p.opts.StartTimeout + time.Minute,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			// The last of two wins: go-plugin's directory has too long a name.
			p.child.cmd.Env = slices.Concat(p.opts.Env, spec.Env, []string{plugin.EnvUnixSocketDir + "=" + p.dir})
			return p.child, nil
		},
	}
}

// connect starts the child and waits until it says that it serves. All that
// blocks here ends with the child.
func (p *Process) connect(ctx context.Context) error {
	protocol, err := p.client.Client()
	if err != nil {
		return err
	}
	p.grpc = protocol.(*plugin.GRPCClient)
	return p.Ping(ctx)
}

// explain finds the reason for which a start failed; err is what was noticed
// of it.
func (p *Process) explain(ctx, limited context.Context, err error) error {
	if refused := p.child.refused(); refused != nil {
		return refused
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return problem("see what it does on its standard error, or raise the start timeout",
			"does not serve after %s: %w", p.opts.StartTimeout, limited.Err())
	}
	// A broken connection is noticed a little before the end of its process.
	select {
	case <-p.child.gone:
	case <-time.After(killGrace / 4):
		return problem("check that it is built for this host", "started, but does not answer: %w", err)
	}
	if p.PID() == 0 {
		return explainExec(p.opts.Path, err)
	}
	return &StartError{
		Err:    &ExitError{State: p.child.state},
		Output: p.child.stderr.lastWords(),
		Hint:   "check that " + p.opts.Path + " is a plugin for this host",
	}
}

// run waits for the end of the child, brought about by Stop or not, and puts
// away what is left of it. It is the only caller of the client's Kill, which
// does not bear two at a time.
func (p *Process) run() {
	select {
	case <-p.stop:
	case <-p.child.gone:
	}
	// Its call of Shutdown has no deadline, but fails with the child, which
	// Stop kills.
	p.client.Kill()
	<-p.child.gone
	p.stdout.flush()
	p.stderr.flush()
	if err := os.RemoveAll(p.dir); err != nil {
		p.opts.Logger.Warn("remove the plugin's socket directory", "dir", p.dir, "error", err)
	}
	close(p.exited)
}

// Stop ends the process: it is asked, and when it has not ended within
// KillTimeout, or ctx has ended before, it is killed with its process group.
// Stop returns when all is put away, a second after that at the latest; that
// takes a process which the kernel itself cannot end, and is logged.
func (p *Process) Stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.KillTimeout)
	defer cancel()
	p.stopOnce.Do(func() { close(p.stop) })
	select {
	case <-p.exited:
	case <-ctx.Done():
		p.kill()
	}
}

func (p *Process) kill() {
	p.child.kill()
	p.stopOnce.Do(func() { close(p.stop) })
	select {
	case <-p.exited:
	case <-time.After(killGrace):
		p.opts.Logger.Error("plugin's process does not end though killed", "pid", p.PID())
	}
}

// Exited is closed when the process has ended and nothing is left of it,
// neither its connection nor its socket.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err says how the process ended, once Exited is closed; before, it is nil.
func (p *Process) Err() error {
	select {
	case <-p.exited:
		return &ExitError{State: p.child.state}
	default:
		return nil
	}
}

// PID is the process's id, and its process group's.
func (p *Process) PID() int { return p.child.PID() }

// Version is the protocol version that was negotiated: a key of
// Options.Plugins.
func (p *Process) Version() int { return p.client.NegotiatedVersion() }

// Dispense returns the client of the plugin of that name in the negotiated
// version's set, as its GRPCClient method made it. Its calls fail when the
// process has ended.
func (p *Process) Dispense(name string) (any, error) { return p.grpc.Dispense(name) }
