// Package feed is the machine that orders and repeats: it takes the events of
// one feed from their source, lets them into the plugin, and settles what
// became of them.
//
//	Source ──Next──▶ filter ──▶ lane by conversation ──▶ window, rate ──Deliver──▶ plugin
//	   ▲                             ▲        │                                      │
//	   │                             └─ wait ─┤ retry, pause                         │
//	   └── Ack, Hold, Dead ───────────────────┴◀─────────────── Settle ──────────────┘
//
// Events come in order per conversation, at least once: the next of a
// conversation is delivered when the one before has its outcome, through
// retries. A conversation in retry holds up itself alone. What is out of
// attempts is a dead letter before it is acknowledged. What has no outcome when
// the feed ends stays with its source, and comes again.
//
// # Bounds
//
// Up to Window deliveries are inside the plugin. Up to Held events are in
// memory: no more are requested beyond. But those that wait for long, because
// their conversation is in retry or far behind, are parked: of them only the
// place in the stream is kept, they are fetched again when their turn comes,
// and there may be Parked of them. So what waits keeps nothing else from
// coming.
//
// A plugin that has not said within Timeout, and 5 s more, what became of a
// delivery hangs; Run ends with an error for the plugin to be started again.
package feed

import (
	"context"
	"errors"
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
	// Held is how many deliveries may come before more are requested.
	Held int
	// Parked is how many may be out at once, neither acknowledged nor dead.
	Parked int
}

// Source is an ordered stream of events, at least once.
type Source interface {
	// Next waits for the next delivery. The feed takes all that come.
	Next(ctx context.Context) (Delivery, error)
	// Request allows n more deliveries, beside those allowed before. It does
	// not block. It may be called while Next waits.
	Request(n int)
	// Close ends the source; its position stays.
	Close()
}

// ErrGone is what [Delivery.Fetch] returns when the event is no longer stored.
var ErrGone = errors.New("the event is no longer stored")

// Delivery is one event of a source on its way. It comes again when it is
// neither acknowledged nor held for a while.
type Delivery interface {
	// Event is the event; after Park, nothing.
	Event() event.Event
	// Park lets go of the event, whose data may be large. All else stays.
	Park()
	// Fetch reads the event of a parked delivery from where it is stored. Hold
	// may be called meanwhile.
	Fetch(ctx context.Context) (event.Event, error)
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
	// Filter says which events the feed wants; an error makes a dead letter of
	// the event. nil: all.
	Filter func(event.Event) (bool, error)
	// Window is how many deliveries are inside the plugin at once; Held and
	// Parked are those of the source's [Spec].
	Window, Held, Parked int
	// Rate is how many deliveries there are per second; 0: as they come.
	Rate float64
	// Unordered: an event in retry holds up no other, not even of its
	// conversation.
	Unordered bool
	// Retries are the waits before each further attempt, give or take a fifth;
	// after the last, an event is a dead letter.
	Retries []time.Duration
	// Timeout is how long the plugin has for one delivery.
	Timeout time.Duration
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
