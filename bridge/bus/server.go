package bus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// maxPayload has room for the largest frame that a connector reads.
	maxPayload = 8 << 20
	// readyTimeout bounds the embedded server's start: reading a large store
	// takes a while.
	readyTimeout = 60 * time.Second
	// readyStep is how often it is looked whether the start has failed.
	readyStep = 100 * time.Millisecond
)

// embedded is a NATS server in this process. It can be started anew; who is
// connected to it connects again by itself.
type embedded struct {
	user    string
	key     string
	log     *serverLog
	options *server.Options

	mu     sync.Mutex
	server *server.Server // nil: it is being started
}

var _ nats.InProcessConnProvider = (*embedded)(nil)

var errStarting = errors.New("the embedded NATS server is being started")

// InProcessConn is the way in for a client of this process.
func (e *embedded) InProcessConn() (net.Conn, error) {
	if s := e.current(); s != nil {
		return s.InProcessConn()
	}
	return nil, errStarting
}

func (e *embedded) current() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

func (e *embedded) expose(s *server.Server) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
}

// startServer starts the embedded server. What the outbox accepts must be on
// disk, hence SyncAlways; the events' stream exempts itself.
func startServer(o Options, subjects subjects, maxStore int64) (*embedded, error) {
	e := &embedded{user: "bridge", key: rand.Text(), log: &serverLog{log: o.Log}}
	opts := &server.Options{
		ServerName: "switchboard", DontListen: o.Listen == "",
		JetStream: true, StoreDir: filepath.Join(o.DataDir, "nats"), JetStreamMaxStore: maxStore,
		SyncAlways: true, SyncInterval: 10 * time.Second,
		MaxPayload: maxPayload, NoSigs: true, NoSystemAccount: true,
		CustomClientAuthentication: &gate{user: e.user, key: e.key, subjects: subjects},
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("nats.listen: %w", err)
		}
		if opts.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("nats.listen: port %q is not a number", port)
		}
		if opts.Port == 0 {
			opts.Port = server.RANDOM_PORT
		}
		opts.Host = host
	}
	e.options = opts
	s, err := e.start()
	if err != nil {
		return nil, err
	}
	if a, ok := s.Addr().(*net.TCPAddr); ok {
		opts.Port = a.Port // also when it is started anew
	}
	e.expose(s)
	return e, nil
}

// start starts a server, which nobody is let in to yet.
func (e *embedded) start() (*server.Server, error) {
	s, err := server.NewServer(e.options.Clone())
	if err != nil {
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(e.log, false, false, false)
	s.Start()
	for deadline := time.Now().Add(readyTimeout); !s.ReadyForConnections(readyStep); {
		fatal := e.log.fatal.Load()
		if fatal == nil && time.Now().Before(deadline) {
			continue
		}
		s.Shutdown()
		s.WaitForShutdown()
		if fatal != nil {
			return nil, fmt.Errorf("start the embedded NATS server: %s", *fatal)
		}
		return nil, fmt.Errorf("start the embedded NATS server: not ready within %s", readyTimeout)
	}
	return s, nil
}

func (e *embedded) connect(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append(opts, nats.InProcessServer(e), nats.UserInfo(e.user, e.key))...)
}

// stop ends the server; nobody is let in any more.
func (e *embedded) stop() {
	s := e.current()
	e.expose(nil)
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// gate lets the bridge itself in with everything, and whoever else connects
// with everything but the subjects that are the bridge's own to write.
type gate struct {
	user, key string
	subjects  subjects
}

func (g *gate) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if o.Username == g.user {
		return o.Password == g.key
	}
	p := g.subjects.prefix
	c.RegisterUser(&server.User{Username: "guest", Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{
			p + ".event.>", p + ".live.>", p + ".queue.>", p + ".ledger.>", p + ".state.>", p + ".dead.>", p + ".again.>", p + ".quarantine.>", "$KV." + p + "-plugins.>",
		}},
	}})
	return true
}

// serverLog passes the server's log on and keeps its last word.
type serverLog struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
	// frozen is what the server said when it could not write to a stream, which
	// takes nothing more until it is started anew; nil: it can.
	frozen atomic.Pointer[string]
}

var _ server.Logger = (*serverLog)(nil)

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(l.text(format, v)) }
func (l *serverLog) Debugf(format string, v ...any)  { l.log.Debug(l.text(format, v)) }
func (l *serverLog) Tracef(format string, v ...any)  { l.log.Debug(l.text(format, v)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(l.text(format, v)) }

// Errorf also notices what the server tells in no other way. What it then says
// of every message is not said again.
func (l *serverLog) Errorf(format string, v ...any) {
	text := l.text(format, v)
	switch {
	case strings.Contains(text, "critical write error"), strings.Contains(text, "Critical write error"):
		if l.frozen.Swap(&text) != nil {
			l.log.Debug(text)
			return
		}
	case l.frozen.Load() != nil:
		l.log.Debug(text)
		return
	}
	l.log.Error(text)
}

// Fatalf does not end the process: that is not the server's to decide here.
func (l *serverLog) Fatalf(format string, v ...any) {
	text := l.text(format, v)
	if strings.Contains(text, "address already in use") {
		text += ": another program has the port; set nats.listen to another one, or leave it empty"
	}
	l.fatal.Store(&text)
}

func (l *serverLog) text(format string, v []any) string {
	return "nats: " + strings.TrimSpace(fmt.Sprintf(format, v...))
}

// explain adds to an error of connecting what an operator can do about it.
func explain(url string, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("connect to NATS at %s: %w: is it running, and is nats.url right? Leave nats.url empty for the embedded server", url, err)
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("connect to NATS at %s: %w: set nats.credentials to a file of credentials that it accepts", url, err)
	}
	return fmt.Errorf("connect to NATS at %s: %w", url, err)
}
