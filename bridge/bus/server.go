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

	"github.com/switchboard-dev/switchboard/proto/secret"
)

const (
	// maxPayload has room for the largest frame that a connector reads.
	maxPayload = 8 << 20
	// readyTimeout bounds the embedded server's start: reading a large store
	// takes a while.
	readyTimeout = 60 * time.Second
	// admitTimeout is how long a connection may wait until it is let in: the
	// store may have to be padded before.
	admitTimeout = readyTimeout + padTimeout
	// readyStep is how often it is looked whether the start has failed.
	readyStep = 100 * time.Millisecond
)

// embedded is a NATS server in this process. It can be started anew; who is
// connected to it connects again by itself.
type embedded struct {
	user     string
	key      string
	log      *serverLog
	options  *server.Options
	subjects subjects
	bots     []Bot
	operator func() (secret.Text, error)
	welcome  func(Bot)
	// maxOpen is how many requests of a bot may wait for an answer.
	maxOpen int

	mu     sync.Mutex
	server *server.Server // nil: it is being started
	gate   *gate          // of the one that was started last
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
func startServer(o Options, subjects subjects, maxStore int64, welcome func(Bot)) (*embedded, error) {
	e := &embedded{
		user: "bridge", key: rand.Text(), log: &serverLog{log: o.Log}, subjects: subjects,
		bots: o.Bots, operator: o.OperatorPassword, welcome: welcome, maxOpen: maxOpenRequests,
	}
	opts := &server.Options{
		ServerName: "switchboard", DontListen: o.Listen == "",
		JetStream: true, StoreDir: filepath.Join(o.DataDir, "nats"), JetStreamMaxStore: maxStore,
		SyncAlways: true, SyncInterval: 10 * time.Second,
		MaxPayload: maxPayload, NoSigs: true, NoSystemAccount: true,
		AuthTimeout: admitTimeout.Seconds(),
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

// start starts a server, which nobody but the bridge is let in to yet.
func (e *embedded) start() (*server.Server, error) {
	g := newGate(e)
	e.mu.Lock()
	e.gate = g
	e.mu.Unlock()
	options := e.options.Clone()
	options.CustomClientAuthentication = g
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(e.log, false, false, false)
	s.Start()
	end := func() {
		g.shut()
		s.Shutdown()
		s.WaitForShutdown()
	}
	for deadline := time.Now().Add(readyTimeout); !s.ReadyForConnections(readyStep); {
		fatal := e.log.fatal.Load()
		if fatal == nil && time.Now().Before(deadline) {
			continue
		}
		end()
		if fatal != nil {
			return nil, fmt.Errorf("start the embedded NATS server: %s", *fatal)
		}
		return nil, fmt.Errorf("start the embedded NATS server: not ready within %s", readyTimeout)
	}
	// Not before: with other accounts there, the server gives the bridge's none
	// of its streams.
	for _, bot := range e.bots {
		if g.bots[bot.Name], err = e.subjects.settle(s, bot); err != nil {
			end()
			return nil, err
		}
	}
	return s, nil
}

func (e *embedded) connect(opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("", append(opts, nats.InProcessServer(e), nats.UserInfo(e.user, e.key))...)
}

// admit lets everybody in who may be.
func (e *embedded) admit() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gate.admit()
}

// stop ends the server; nobody is let in any more.
func (e *embedded) stop() {
	e.mu.Lock()
	s, g := e.server, e.gate
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		g.shut()
		s.Shutdown()
		s.WaitForShutdown()
	}
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
