// Package feed is the machine that orders and repeats: it takes the events of
// one feed from their source, lets them into the plugin, and settles what
// became of them.
//
//	Source ──Next──▶ take ──▶ lane by conversation ──▶ window ──Deliver──▶ plugin
//	   ▲                          ▲        │                                 │
//	   │                          └─ wait ─┤ retry, pause                    │
//	   └── Ack, Hold, Dead ────────────────┴◀──────────── Settle ────────────┘
//
// Events come in order per conversation, at least once: the next of a
// conversation is delivered when the one before has its outcome, through
// retries. A conversation in retry holds up itself alone. What is out of
// attempts is a dead letter before it is acknowledged. What has no outcome when
// the feed ends stays with its source, and comes again.
package feed

import (
	"context"
	"log/slog"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// Spec says which events a feed has.
type Spec struct {
	Plugin, Feed string
	Accounts     []string
	Events       []event.Pattern
	// Held is how many deliveries may be out at once, neither acknowledged nor
	// dead. The feed takes all that come.
	Held int
}

// Source is an ordered stream of events, at least once.
type Source interface {
	// Next waits for the next delivery.
	Next(ctx context.Context) (Delivery, error)
	// Close ends the source; its position stays.
	Close()
}

// Delivery is one event of a source on its way. It comes again when it is
// neither acknowledged nor held for a while.
type Delivery interface {
	Event() event.Event
	// Sequence tells which event of the feed it is; it grows.
	Sequence() uint64
	// Key is the idempotency key for a receiver: the event's id, and a fresh
	// one where Again.
	Key() string
	// Again: the operator had the event delivered once more by hand.
	Again() bool
	// Ack says that the event is done.
	Ack() error
	// Hold says that it is still being worked on.
	Hold() error
	// Dead stores it as a dead letter, and then says that it is done.
	Dead(ctx context.Context, reason string, attempts int) error
}

// Options are what a [Feed] is made of.
type Options struct {
	// Plugin and Name say whose feed it is, and which.
	Plugin, Name string
	Source       Source
	// OwnEchoes: it also has the events that the plugin's own actions caused.
	OwnEchoes bool
	// Window is how many deliveries are inside the plugin at once.
	Window int
	// Retries are the waits before each further attempt; after the last, an
	// event is a dead letter.
	Retries []time.Duration
	// Deliver hands a delivery to the plugin. It should have room for the whole
	// window: while it blocks, nothing else of the feed goes on.
	Deliver func(context.Context, *pluginv1.Delivery)
	// FirstID is the id before the first delivery's: it sets them apart from
	// those of other feeds.
	FirstID uint64
	// Stray is told of an outcome of a delivery that is not under way.
	Stray func()
	// Stats are counted into, and may be read meanwhile.
	Stats *Stats
	// Tracer makes a span for each delivery; nil: none.
	Tracer *tracing.Tracer
	Log    *slog.Logger
}
