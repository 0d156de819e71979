package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/bridge/reconcile"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// Account is one account to bridge.
type Account struct {
	Name      string
	Connector connectors.Connector
	// Self says who the account writes as, where that is known.
	Self outbox.Self
	// Initial, Max and Attempts are the link's backoff, Heartbeat and
	// HeartbeatTimeout its pings; see [link.Options].
	Initial, Max                time.Duration
	Attempts                    int
	Heartbeat, HeartbeatTimeout time.Duration
	// Recycle is after how long, about, a healthy socket is replaced.
	Recycle time.Duration
	// Reconcile says how what the socket does not tell is found; its Interval,
	// Sweep, Depth, Rate and Backfill are taken.
	Reconcile reconcile.Options
	// Outbox says how actions are sent; its NoEcho, Unclear, Rate and Attempts
	// are taken.
	Outbox outbox.Options
	// Debug logs every frame and every action, after Redact.
	Debug bool
	// Redact takes secrets out of a text; nil: there are none.
	Redact func(string) string
}

// Options are what a bridge is made of.
type Options struct {
	Bus      *bus.Bus
	Accounts []Account
	// TracerProvider makes the spans; nil: nothing is traced.
	TracerProvider trace.TracerProvider
	Log            *slog.Logger
}

// Bridge carries the events and actions of its accounts. Its methods are safe
// for concurrent use.
type Bridge struct {
	accounts []*account
	door     *outbox.Door
}

type account struct {
	name      string
	link      *link.Link
	outbox    *outbox.Outbox
	inbound   *inbound
	reconcile *reconcile.Reconciler
	lookUp    *lookUp
	bus       *bus.Bus
	log       *slog.Logger
	// untold has one when results may be missing from the stream.
	untold chan struct{}
}

// New returns a bridge. It does nothing before Run.
func New(o Options) *Bridge {
	b := &Bridge{}
	outboxes := map[string]*outbox.Outbox{}
	for _, a := range o.Accounts {
		made := newAccount(a, o, o.Log.With("account", a.Name))
		b.accounts = append(b.accounts, made)
		outboxes[a.Name] = made.outbox
	}
	slices.SortFunc(b.accounts, func(x, y *account) int { return strings.Compare(x.name, y.name) })
	o.Bus.OnLoss(func() {
		for _, a := range b.accounts {
			a.lost()
		}
	})
	if o.Bus.Unclean() {
		for _, a := range b.accounts {
			a.untold <- struct{}{}
		}
	}
	b.door = outbox.NewDoor(o.Bus, outboxes, o.Log)
	return b
}

func newAccount(a Account, o Options, log *slog.Logger) *account {
	b := o.Bus
	source := a.Connector.Source()
	in := &inbound{account: a.Name, source: source, bus: b, tracer: tracing.New(o.TracerProvider, "bridge"), log: log}
	connector := a.Connector
	if a.Debug {
		connector = &debugged{connector, log, a.Redact}
	}
	compare := a.Reconcile
	compare.Account, compare.Reader, compare.Publish = a.Name, a.Connector, in.publish
	compare.Events, compare.State, compare.Log = b, b, log
	in.reconcile = reconcile.New(compare)
	l := link.New(link.Options{
		Changed: func(s link.Status) {
			if s.State == link.Connected {
				in.reconcile.Connected()
			}
		},
		Recycle: a.Recycle, Recycled: in.reconcile.Suspect,
		Dialer: connector, Frame: in.frame, Initial: a.Initial, Max: a.Max, Attempts: a.Attempts,
		Heartbeat: a.Heartbeat, HeartbeatTimeout: a.HeartbeatTimeout, Log: log,
	})
	send := a.Outbox
	send.Account, send.Source, send.Bus, send.Link, send.Self = a.Name, source, b, l, a.Self
	send.Backend, send.TracerProvider, send.Log = a.Connector, o.TracerProvider, log
	send.Ledger = func(ctx context.Context, since time.Time, each func(outbox.LedgerEntry) error) error {
		return b.ReadLedgerSince(ctx, a.Name, since, func(sender, id string, written time.Time, data []byte) error {
			return each(outbox.LedgerEntry{Sender: sender, ID: id, Written: written, Data: data})
		})
	}
	out := outbox.New(send)
	in.outbox = out
	return &account{
		name: a.Name, link: l, outbox: out, inbound: in, reconcile: in.reconcile,
		lookUp: newLookUp(a.Connector, a.Reconcile.Rate), bus: b, log: log, untold: make(chan struct{}, 1),
	}
}

// Door is where actions come in.
func (b *Bridge) Door() *outbox.Door { return b.door }

// Run carries until ctx ends: then the door closes, the outboxes finish what
// is under way, and the links end last. The error of a part ends the others.
func (b *Bridge) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ended(ctx, b.door.Run(ctx)) })
	for _, a := range b.accounts {
		group.Go(func() error { return ended(ctx, a.run(ctx)) })
	}
	return group.Wait()
}

// ended is the error of a part, unless it has one because it was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// run begins with what was published, so that it is known what is missing, and
// ends with it, when nothing more comes.
func (a *account) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	comparing, end := context.WithCancelCause(context.WithoutCancel(ctx))
	var compared sync.WaitGroup
	compared.Go(func() {
		if err := a.reconcile.Run(comparing); comparing.Err() == nil {
			fail(fmt.Errorf("comparison of account %s: %w", a.name, err))
		}
	})
	compared.Go(func() { a.retell(comparing) })
	defer compared.Wait()
	defer func() { end(context.Cause(ctx)) }()
	if err := a.reconcile.Loaded(ctx); err != nil {
		return err
	}
	if err := a.outbox.Recall(ctx); err != nil {
		return err
	}
	linked, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	var linking sync.WaitGroup
	linking.Go(func() {
		if err := a.link.Run(linked); linked.Err() == nil {
			fail(fmt.Errorf("link of account %s: %w", a.name, err))
		}
	})
	err := a.outbox.Run(ctx)
	cut(context.Cause(ctx))
	linking.Wait()
	return err
}

// lost says that the stream may have lost its latest events.
func (a *account) lost() {
	a.reconcile.Distrust()
	select {
	case a.untold <- struct{}{}:
	default:
	}
}

const (
	// uncertain is how far back results may be missing after an unclean end: a
	// stream that is written fast is on disk after 10 s.
	uncertain = 5 * time.Minute
	// retellAgain is the pause after an attempt that failed.
	retellAgain = time.Second
)

// retell tells again, whenever that may be needed, the results that the ledger
// has and the stream has not.
func (a *account) retell(ctx context.Context) {
	var again <-chan time.Time // after an attempt that failed
	for {
		select {
		case <-a.untold:
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		told, err := a.retellOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.Warn("results are told again a little later", "error", err)
			again = time.After(retellAgain)
		case told > 0:
			a.log.Info("results that the stream had lost were told again", "count", told)
		}
	}
}

func (a *account) retellOnce(ctx context.Context) (int, error) {
	since := time.Now().Add(-uncertain)
	known, err := a.bus.EventIDsSince(ctx, a.name, "action.*", since.Add(-uncertain))
	if err != nil {
		return 0, err
	}
	return a.outbox.Retell(ctx, since, func(id string) bool { _, ok := known[id]; return ok })
}

// Status is a snapshot of an account.
type Status struct {
	Account string        `json:"account"`
	Link    link.Status   `json:"link"`
	Inbound InboundStatus `json:"inbound"`
	// Reconcile is how what the socket does not tell is found.
	Reconcile reconcile.Status `json:"reconcile"`
	Outbox    outbox.Status    `json:"outbox"`
}

// Status is how the accounts stand now, by name.
func (b *Bridge) Status() []Status {
	list := make([]Status, 0, len(b.accounts))
	for _, a := range b.accounts {
		s := Status{a.name, a.link.Status(), a.inbound.counts.status(), a.reconcile.Status(), a.outbox.Status()}
		s.Inbound.Duplicates += s.Reconcile.Duplicates
		list = append(list, s)
	}
	return list
}

// Link is the link of an account; nil: there is none of that name.
func (b *Bridge) Link(name string) *link.Link {
	for _, a := range b.accounts {
		if a.name == name {
			return a.link
		}
	}
	return nil
}
