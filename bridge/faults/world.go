package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

const (
	// account is the one that is bridged, and token opens it.
	account              = "7"
	token    secret.Text = "faults-token"
	agent                = 3 // who the token writes as
	prefix               = "switchboard"
	stream               = "SWITCHBOARD_EVENTS"
	history              = 25               // conversations that were there before
	patience             = 40 * time.Second // for a bridge to be there
)

// configuration of the bridge: what is shortened is how soon it notices, so
// that a row takes a minute and not an hour. What it does then is its own. An
// action that is not found is sent again: that is where it may be done twice,
// while one that is given up fails, which the table counts as bad.
var configuration = template.Must(template.New("").Parse(`data_dir: {{.Data}}
prefix: ` + prefix + `
nats:
{{- if .External}}
  url: {{.NATS}}
  durable: true
{{- else}}
  listen: {{.Listen}}
{{- end}}
accounts:
  "` + account + `":
    ws_url: ws://{{.Backend}}
    api_url: http://{{.Backend}}
    token: {{.Token}}
    message_type: 1
    self: {sender_type: User, sender_id: {{.Agent}}}
    unclear: resend
    reconnect: {initial: 200ms, max: 2s}
    heartbeat: {interval: 2s, timeout: 2s}
    reconcile: {interval: 5s, sweep: 10s}
`))

// world is what one row needs: a backend, a bridge and a NATS of its own.
type world struct {
	dir     string
	backend *simulator.Server
	http    *http.Server
	nats    *natsServer // nil: it is in the bridge
	bridge  *process
	conn    *nats.Conn
	js      jetstream.JetStream
	closers []func() error // from the first to the last
	log     *os.File       // of the bridge
}

// newWorld builds everything but what needs the bridge to run.
func newWorld(f fault, o Options, rates rates) (_ *world, err error) {
	w := &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "switchboard-fault-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	w.closing(func() error { return os.RemoveAll(w.dir) })
	if err = os.Mkdir(w.dataDir(), 0o700); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	if f.disk > 0 {
		unmount, err := mount(w.dataDir(), f.disk)
		if err != nil {
			return nil, err
		}
		w.closing(unmount)
	}
	if w.log, err = os.Create(filepath.Join(w.dir, "bridge.log")); err != nil {
		return nil, fmt.Errorf("open the bridge's log: %w", err)
	}
	w.closing(w.log.Close)
	backend, err := w.serve(simulator.Options{
		Accounts: []simulator.Account{{ID: account, Token: token, AgentID: agent}}, Seed: o.Seed, EchoRef: !f.noEcho,
		Rate: rates.script, Conversations: o.Conversations, History: history,
		// A bridge that is slow for a while is no reason to close its socket.
		Queue: 4096,
	})
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	if f.external {
		w.nats = &natsServer{dir: filepath.Join(w.dir, "nats"), port: port}
		w.closing(func() error { w.nats.stop(); return nil })
		if err := w.nats.start(); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(w.dir, "switchboard.yaml")
	file, err := os.OpenFile(config, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	err = configuration.Execute(file, map[string]any{
		"Data": w.dataDir(), "External": f.external, "NATS": "nats://" + listen, "Listen": listen,
		"Backend": backend, "Token": token.Reveal(), "Agent": agent,
	})
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	w.bridge = newProcess(o.Binary, w.log, "run", "--config", config)
	// A request that cannot be sent now fails now, and its sender decides.
	w.conn, err = nats.Connect("nats://"+listen, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1), nats.Name("faults"),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // each caller gets its own
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	w.closing(func() error { w.conn.Close(); return nil })
	if w.js, err = jetstream.New(w.conn); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return w, nil
}

// serve serves a backend on a port of its own and returns its host.
func (w *world) serve(o simulator.Options) (host string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a port for the backend: %w", err)
	}
	w.backend = simulator.New(o)
	w.http = &http.Server{Handler: w.backend, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = w.http.Serve(l) // ends with close; a row without a backend is red by itself
	}()
	w.closing(func() error {
		err := errors.Join(w.backend.Close(), w.http.Close())
		<-served
		return err
	})
	return l.Addr().String(), nil
}

func (w *world) closing(f func() error) { w.closers = append(w.closers, f) }

// close ends everything, the last first.
func (w *world) close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	w.closers = nil
	return errors.Join(errs...)
}

func (w *world) dataDir() string { return filepath.Join(w.dir, "data") }

// set makes a fault of the backend happen.
func (w *world) set(f simulator.Fault) error {
	f.Account = account
	return w.backend.SetFault(f)
}

func (w *world) lift(name simulator.FaultName) error {
	_, err := w.backend.ClearFault(account, name)
	return err
}

// during has a fault of the backend in force for a while.
func (w *world) during(ctx context.Context, d time.Duration, f simulator.Fault) error {
	if err := w.set(f); err != nil {
		return err
	}
	if err := pass(ctx, d); err != nil {
		return err
	}
	return w.lift(f.Name)
}

func (w *world) stats() simulator.Stats {
	s, _ := w.backend.Stats(account) // the account is there
	return s
}

// opened is how many sockets there have been.
func (w *world) opened() int { return w.stats().Sockets.Opened }

// done counts actions that the backend has done.
func (w *world) done() int { return done(w.stats()) }

func done(s simulator.Stats) (n int) {
	for _, times := range s.Refs {
		n += times
	}
	return n
}

// restart ends the bridge by a signal and starts it again.
func (w *world) restart(ctx context.Context, signal syscall.Signal) error {
	if err := w.bridge.stop(ctx, signal); err != nil {
		return err
	}
	w.bridge.start()
	return nil
}

// await waits for something that the backend counts.
func (w *world) await(ctx context.Context, what string, condition func(simulator.Stats) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s within %s", what, patience))
	defer cancel()
	return w.backend.Await(ctx, account, condition)
}

// connected waits for one more socket than there had been before.
func (w *world) connected(ctx context.Context, before int) error {
	return w.await(ctx, "a socket of the bridge", func(s simulator.Stats) bool {
		return s.Sockets.Opened > before && s.Sockets.Open > 0
	})
}

// hopeless is after how many ends of its own a bridge is given up.
const hopeless = 5

// ready waits until the bridge answers on NATS and has its socket.
func (w *world) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the bridge is not ready within %s", patience))
	defer cancel()
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		if ends := w.bridge.unasked(); len(ends) >= hopeless {
			return false, fmt.Errorf("the bridge does not start: %s", ends[0])
		}
		if w.stats().Sockets.Open == 0 {
			return false, nil
		}
		_, err := w.js.Stream(ctx, stream)
		return err == nil, nil // it may not be there yet
	})
}

// poll asks again and again, for what nobody tells.
func poll(ctx context.Context, every time.Duration, met func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := met(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
