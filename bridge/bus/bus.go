// Package bus is all of NATS: the embedded server or the connection to an
// external one, streams, subjects, consumers and the bucket. No other package
// names a subject or imports a NATS client.
//
// # What it promises
//
// An event that Publish reports as done is in the stream, and the events of one
// conversation are there in the order in which they were published, through
// every disconnection: at most one of a conversation is unacknowledged at a
// time, and what is not acknowledged is published again under the same id.
//
// An action that Enqueue reports as done is on disk (with the embedded server;
// of an external one its operator must know).
//
// A feed gives events at least once, in the order of the stream from where it
// stood. What an operator has it given once more comes beside those, from a
// queue on disk, in order per conversation among itself, and marked.
// Back-pressure is by blocking: Publish blocks while its window is full.
package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Options say where NATS is and what to keep.
type Options struct {
	// DataDir holds the lock and the embedded server's files. It is made where
	// it is missing.
	DataDir string
	// Prefix is the first token of every subject; [a-z0-9-]+.
	Prefix string
	// URL and Credentials (a file) lead to an external server; an empty URL
	// starts the embedded one.
	URL, Credentials string
	// Listen opens a port of the embedded server; empty: none. The port 0 is
	// any free one, see [Bus.Address].
	Listen string
	// OperatorPassword lets the user "operator" in at Listen, and no others but
	// the Bots. Nil: with Bots, only those; without, everybody counts as the
	// operator.
	OperatorPassword func() (secret.Text, error)
	// Accounts are all whose events there will be; a feed of all of them costs
	// less. None: it is not known.
	Accounts []string
	// Bots are the programs that stand at NATS themselves.
	Bots []Bot
	// MaxAge and MaxBytes bound the stream of events.
	MaxAge   time.Duration
	MaxBytes int64
	Log      *slog.Logger
}

// Bus is an open connection with its streams in place.
type Bus struct {
	subjects subjects
	log      *slog.Logger
	lock     *flock.Flock
	embedded *embedded // nil: external
	conn     *nats.Conn
	// connect makes another connection as conn is.
	connect func(...nats.Option) (*nats.Conn, error)
	js      jetstream.JetStream
	streams streams
	ledger  jetstream.Stream
	store   jetstream.KeyValue
	events  *publisher
	// actions and entries write the queue and the ledger; the goroutines of
	// both end with cut.
	actions, entries *committer
	cut              context.CancelFunc
	// opened tells the writes of this bus from those of another.
	opened   string
	writes   atomic.Uint64
	accounts []string // see Options
	// first is the sequence with which a new feed begins: it sees what is
	// published from the time on when this bus was opened.
	first uint64
	again again
	// unclean: the embedded server did not end in good order the last time.
	unclean atomic.Bool
	dir     string // of the embedded server; empty: external

	mu      sync.Mutex
	losses  []func()
	shelves map[string]*shelf // by plugin
}

// ErrInUse says that another bridge has the data directory.
var ErrInUse = errors.New("the data directory is in use by another bridge")

// Open locks the data directory, starts or reaches NATS, and brings the
// streams into their shape.
func Open(ctx context.Context, o Options) (*Bus, error) {
	b := &Bus{subjects: subjects{o.Prefix}, log: o.Log, opened: rand.Text(), accounts: o.Accounts, again: newAgain()}
	if err := b.open(ctx, o); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *Bus) open(ctx context.Context, o Options) (err error) {
	if b.lock, err = lock(o.DataDir); err != nil {
		return err
	}
	options := []nats.Option{
		nats.Name("switchboard"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { b.log.Info("NATS connection is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.log.Warn("NATS", "error", err) }),
	}
	if o.URL == "" {
		unclean, err := mark(o.DataDir)
		if err != nil {
			return err
		}
		b.unclean.Store(unclean)
		b.dir = o.DataDir
		if b.embedded, err = startServer(o, b.subjects, maxStore(o), b.welcome); err != nil {
			return err
		}
		b.connect = func(more ...nats.Option) (*nats.Conn, error) {
			return b.embedded.connect(slices.Concat(options, more)...)
		}
		if b.conn, err = b.connect(); err != nil {
			return fmt.Errorf("connect to the embedded NATS server: %w", err)
		}
	} else {
		if o.Credentials != "" {
			options = append(options, nats.UserCredentials(o.Credentials))
		}
		b.connect = func(more ...nats.Option) (*nats.Conn, error) {
			return nats.Connect(o.URL, slices.Concat(options, more)...)
		}
		if b.conn, err = b.connect(); err != nil {
			return explain(redactURL(o.URL), err)
		}
		if b.conn.MaxPayload() < maxPayload {
			b.log.Warn("the NATS server takes smaller messages than a backend may send; larger events are refused",
				"max_payload", b.conn.MaxPayload(), "recommended", maxPayload)
		}
	}
	if b.js, err = jetstream.New(b.conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if err = b.ensureStreams(ctx, o); err != nil {
		return err
	}
	b.stage()
	if b.unclean.Load() {
		if err = b.pad(ctx, b.js); err != nil {
			return err
		}
	}
	if b.first, err = b.next(ctx); err != nil {
		return err
	}
	if err = b.ensureBots(ctx, o.Bots); err != nil {
		return err
	}
	if b.events, err = newPublisher(b.conn, b.log); err != nil {
		return err
	}
	writing, cut := context.WithCancel(context.WithoutCancel(ctx))
	b.cut = cut
	go b.actions.Run(writing)
	go b.entries.Run(writing)
	if b.embedded != nil {
		b.embedded.admit()
	}
	return nil
}

// stage has the server put the batches together in memory, where it is ours.
func (b *Bus) stage() {
	if b.embedded == nil {
		return
	}
	if err := stage(b.dir, b.streams.actions, b.streams.ledger, b.streams.state); err != nil {
		b.log.Debug("batches are put together on disk, which is slower", "error", err)
	}
}

// Close publishes and writes what is still to be, for as long as ctx allows,
// and leaves or stops NATS.
func (b *Bus) Close(ctx context.Context) error {
	err := b.events.drain(ctx)
	b.actions.close(ctx, b.cut)
	b.entries.close(ctx, b.cut)
	b.cut()
	b.close()
	return err
}

func (b *Bus) close() {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.embedded != nil {
		b.embedded.stop()
		if err := unstage(b.dir); err != nil {
			b.log.Debug("batches were not removed from memory", "error", err)
		}
		if err := unmark(b.dir); err != nil {
			b.log.Warn("the next start takes this end for an unclean one", "error", err)
		}
	}
	if b.lock != nil {
		if err := b.lock.Unlock(); err != nil {
			b.log.Warn("unlock the data directory", "error", err)
		}
	}
}

// Address is where others can connect: the external server's URL, or the
// embedded one's, which is empty where it has no port.
func (b *Bus) Address() string {
	if b.embedded == nil {
		return redactURL(b.conn.ConnectedUrl())
	}
	if s := b.embedded.current(); s != nil && s.Addr() != nil {
		return "nats://" + s.Addr().String()
	}
	return ""
}

// Embedded reports whether the server is in this process.
func (b *Bus) Embedded() bool { return b.embedded != nil }

// Connected reports whether NATS can be reached now.
func (b *Bus) Connected() bool { return b.conn.IsConnected() }

// lock takes the data directory for this process, before anything in it is
// touched: two servers on one store lose messages.
func lock(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, "lock"))
	got, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	if !got {
		return nil, fmt.Errorf("%w: %s: stop that one, or set data_dir to another directory", ErrInUse, dir)
	}
	return l, nil
}

// redactURL leaves out what is before the @ of each of the URLs.
func redactURL(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		scheme, rest, ok := strings.Cut(u, "://")
		if !ok {
			scheme, rest = "nats", u
		}
		list[i] = scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	return strings.Join(list, ",")
}
