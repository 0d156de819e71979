package badplugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

const (
	// account is the one that is bridged, and token opens it.
	account             = "7"
	token   secret.Text = "bad-plugins-token"
	agent               = 3 // who the token writes as
	prefix              = "switchboard"
	stream              = "SWITCHBOARD_EVENTS"
)

// configuration of the bridge. Each plugin is told in its arguments who it is
// and where to write; the directory also tells which row a process is of.
// actionRate is how many actions a second a plugin may ask for. It is less than
// the backend does in one conversation on a busy machine: there they wait for
// each other, whoever sends them.
const actionRate = "20"

var configuration = template.Must(template.New("").Parse(`data_dir: {{.Dir}}/data
prefix: ` + prefix + `
nats: {listen: {{.NATS}}}
accounts:
  "` + account + `":
    ws_url: ws://{{.Backend}}
    api_url: http://{{.Backend}}
    token: {{.Token}}
    message_type: 1
    self: {sender_type: User, sender_id: {{.Agent}}}
plugins:
{{- range .Plugins}}
  {{.Name}}:
    command: [{{$.Binary}}{{range $.Play}}, {{.}}{{end}}, {{.Part}}, {{$.Dir}}]
    sha256: "{{.SHA256}}"
    accounts: ["` + account + `"]
    events: ["*"]
    actions: [send_message]
    rate: ` + actionRate + `
    {{- if .Config}}
    config: {{.Config}}
    {{- end}}
{{- end}}
`))

type section struct{ Name, Part, SHA256, Config string }

// world is what one row needs: a backend and a bridge with its own NATS.
type world struct {
	dir     string
	backend *simulator.Server
	bridge  *bridge
	conn    *nats.Conn
	js      jetstream.JetStream
	api     *http.Client // to the bridge's socket
	closers []func() error
}

// newWorld builds everything; the bridge is not started yet.
func newWorld(p badPlugin, o Options) (_ *world, err error) {
	w := &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.dir, err = os.MkdirTemp(baseDir(), "swbad-"); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	w.closing(func() error { return os.RemoveAll(w.dir) })
	backend, err := w.serve(simulator.Options{
		Accounts: []simulator.Account{{ID: account, Token: token, AgentID: agent}}, EchoRef: true, Queue: 4096,
	})
	if err != nil {
		return nil, err
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	sections := []section{{Name: recorder, Part: recorder, SHA256: o.sum}, {Name: replier, Part: replier, SHA256: o.sum}}
	if p.play != nil {
		s := section{Name: bad, Part: p.name, SHA256: o.sum, Config: p.config}
		if p.sha256 != "" {
			s.SHA256 = p.sha256
		}
		sections = append(sections, s)
	}
	file, err := os.OpenFile(w.config(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	err = configuration.Execute(file, map[string]any{
		"Dir": w.dir, "NATS": listen, "Backend": backend, "Token": token.Reveal(), "Agent": agent,
		"Binary": o.Binary, "Play": PlayArgs, "Plugins": sections,
	})
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	log, err := os.Create(w.logFile())
	if err != nil {
		return nil, fmt.Errorf("open the bridge's log: %w", err)
	}
	w.closing(log.Close)
	w.bridge = newBridge(o.Binary, w.config(), log)
	w.conn, err = nats.Connect("nats://"+listen, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.Name("badplugins"),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // each caller gets its own
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	w.closing(func() error { w.conn.Close(); return nil })
	if w.js, err = jetstream.New(w.conn); err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	w.api = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(w.runtimeDir(), "api.sock"))
		},
	}}
	return w, nil
}

func (w *world) config() string     { return filepath.Join(w.dir, "switchboard.yaml") }
func (w *world) logFile() string    { return filepath.Join(w.dir, "bridge.log") }
func (w *world) runtimeDir() string { return filepath.Join(w.dir, "data", "run") }

// serve serves a backend on a port of its own and returns its host.
func (w *world) serve(o simulator.Options) (host string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a port for the backend: %w", err)
	}
	w.backend = simulator.New(o)
	server := &http.Server{Handler: w.backend, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // ends with close; a row without a backend is red by itself
	}()
	w.closing(func() error {
		err := errors.Join(w.backend.Close(), server.Close())
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

// plugins asks the bridge how they stand, by name, as `switchboard status` does.
func (w *world) plugins(ctx context.Context) (map[string]standing, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://bridge/v1/status", nil)
	if err != nil {
		return nil, err
	}
	res, err := w.api.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the bridge for its status: %w", err)
	}
	defer res.Body.Close()
	var status struct {
		Plugins []standing `json:"plugins"`
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return nil, fmt.Errorf("read the bridge's status: %w", err)
	}
	byName := map[string]standing{}
	for _, p := range status.Plugins {
		byName[p.Name] = p
	}
	return byName, nil
}

// check runs `switchboard check` and returns what it says; "": it found nothing
// wrong.
func (w *world) check(ctx context.Context, o Options) (string, error) {
	out, err := exec.CommandContext(ctx, o.Binary, "check", "--config", w.config()).CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		return "", err
	}
	return string(out), nil
}

// logged is what the bridge has logged so far.
func (w *world) logged() (string, error) {
	f, err := os.Open(w.logFile())
	if err != nil {
		return "", fmt.Errorf("read the bridge's log: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

// leftSockets are what is left in the directory of the sockets.
func (w *world) leftSockets() (names []string, err error) {
	entries, err := os.ReadDir(w.runtimeDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Ports are taken from below those that systems give to clients.
const firstPort, lastPort = 20_000, 32_000

// freeAddress finds a port of the loopback that nobody listens at.
func freeAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}
