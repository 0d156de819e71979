package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/switchboard-dev/switchboard/plugins/host"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	mendByHand   = "where SWITCHBOARD_PLUGIN is not c4b0f6a1-plugin: say on stderr that this is a plugin, and exit with 1"
	mendTLS      = "serve TLS that requires the certificate in PLUGIN_CLIENT_CERT"
	mendHealth   = `serve grpc.health.v1.Health with the service "plugin" SERVING`
	mendStdout   = "print to stderr; stdout belongs to the handshake"
	mendReach    = "open connections when the first event comes, or in Connect: `switchboard check` configures plugins, too"
	mendShutdown = "end the process when plugin.GRPCController/Shutdown is called, with all its children"
	mendHost     = "end the process when the line (Connect) is over: nobody else will, once the host was killed"
)

// processChecks are about a plugin as a process.
var processChecks = []Check{
	{"by-hand", "started by hand, it says what it is and exits", mendByHand, true, checkByHand},
	{"tls", "it talks to nobody but its host", mendTLS, true, checkTLS},
	{"health", "it serves the health service", mendHealth, true, checkHealth},
	{"stdout", "it prints nothing on stdout but the handshake", mendStdout, true, checkStdout},
	{"reach-out", "it reaches out to nothing before it is connected", mendReach, true, checkReachOut},
	{"shutdown", "it ends within 3 s of Shutdown and leaves no process", mendShutdown, true, checkShutdown},
	{"host-gone", "it ends when its host is gone", mendHost, true, checkHostGone},
}

// exitTimeout is for a process that has nothing to do but to exit. On a busy
// machine, an interpreter takes seconds to begin.
const exitTimeout = 15 * time.Second

func checkByHand(ctx context.Context, o *Options) error {
	p, err := spawn(*o.Command, false)
	if err != nil {
		return err
	}
	defer p.end()
	p.reading.Go(func() { io.Copy(p.printed, p.stdout) })
	select {
	case <-p.exited:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(o.within(exitTimeout)):
		return fmt.Errorf("without the cookie in its environment it runs on for %s", o.within(exitTimeout))
	}
	if p.cmd.ProcessState.ExitCode() == 0 {
		return errors.New("without the cookie in its environment it exits with 0")
	}
	p.end()
	if p.errors.String() == "" && p.printed.String() == "" {
		return errors.New("without the cookie in its environment it exits without a word")
	}
	return nil
}

func checkTLS(ctx context.Context, o *Options) error {
	p, err := o.launch(ctx)
	if err != nil {
		return err
	}
	defer p.end()
	stranger := &tls.Config{RootCAs: p.tls.RootCAs, ServerName: p.tls.ServerName, MinVersion: tls.VersionTLS12}
	conn, err := dial(p.socket, credentials.NewTLS(stranger))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, o.within(callTimeout))
	defer cancel()
	if _, err := pluginv1.NewPluginClient(conn).Describe(ctx, &pluginv1.DescribeRequest{}); err == nil {
		return errors.New("it answers a client that has no certificate")
	}
	return nil
}

func checkHealth(ctx context.Context, o *Options) error {
	p, err := o.launch(ctx)
	if err != nil {
		return err
	}
	defer p.end()
	ctx, cancel := context.WithTimeout(ctx, o.within(callTimeout))
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil {
		return fmt.Errorf("ask the health service: %w", err)
	}
	if s := answer.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the health service says %s", s)
	}
	return nil
}

func checkStdout(ctx context.Context, o *Options) error {
	p, err := o.launch(ctx)
	if err != nil {
		return err
	}
	defer p.end()
	s, err := open(ctx, o.with(p), nil)
	if err != nil {
		return err
	}
	defer s.end()
	if _, err := s.feed(ctx, s.fresh("stdout", 1)); err != nil {
		return err
	}
	s.end()
	if printed := p.printed.String(); printed != "" {
		return fmt.Errorf("after the handshake it printed: %.200q", printed)
	}
	return nil
}

func checkReachOut(ctx context.Context, o *Options) error {
	p, err := o.launch(ctx)
	if err != nil {
		return err
	}
	defer p.end()
	seen, stop, err := watchSockets(p.cmd.Process.Pid)
	if err != nil {
		return note("not put to the test: " + err.Error())
	}
	_, _, err = host.Configure(ctx, p.client, o.spec())
	if err == nil {
		select {
		case <-time.After(quiet): // it may do so a little later
		case <-ctx.Done():
		}
	}
	stop()
	if err != nil {
		return err
	}
	if sockets := seen(); len(sockets) > 0 {
		return fmt.Errorf("it opened a network socket: %s", one(sockets))
	}
	return nil
}

func checkShutdown(ctx context.Context, o *Options) error {
	p, err := o.launch(ctx)
	if err != nil {
		return err
	}
	defer p.end()
	s, err := open(ctx, o.with(p), nil)
	if err != nil {
		return err
	}
	if _, err := s.feed(ctx, s.fresh("shutdown", 1)); err != nil {
		s.end()
		return err
	}
	if err := p.shutdown(ctx, o.within(drained)); err != nil {
		s.end()
		return err
	}
	left := p.left()
	s.end()
	if left {
		return errors.New("it left processes of its group behind, which the host has to kill")
	}
	return nil
}

func checkHostGone(ctx context.Context, o *Options) error {
	p, err := o.launch(ctx)
	if err != nil {
		return err
	}
	defer p.end()
	s, err := open(ctx, o.with(p), nil)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.ping(ctx, 1); err != nil { // the line stands at its end, too
		return err
	}
	p.conn.Close() // as the kernel does for a host that was killed
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(o.within(2 * exitTimeout)):
		return fmt.Errorf("it runs on %s after the connection ended", o.within(2*exitTimeout))
	}
}

// launch starts the process anew.
func (o *Options) launch(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Patience, fmt.Errorf("not within %s", o.Patience))
	defer cancel()
	return launch(ctx, *o.Command)
}

// with are the options for a process that runs already.
func (o *Options) with(p *process) *Options {
	running := *o
	running.Start = func(context.Context) (pluginv1.PluginClient, func(), error) { return p.client, p.end, nil }
	return &running
}
