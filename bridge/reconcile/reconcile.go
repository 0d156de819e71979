// Package reconcile finds what the backend's socket did not tell, and has it
// published.
//
//	socket ─▶ Take ─▶ memory: known? ─▶ Publish ─▶ NATS
//	REST ─▶ compare ─▶ memory: known? ─▶ Publish, replayed ─▶ NATS
//	                     │  ▲
//	                     ▼  └─ the events since, at the start
//	                   STATE
//
// What is compared is sets. Of each conversation that was active since the last
// comparison, less an overlap, the backend is asked for all messages; each that
// is not in the index of what was published is, oldest first. So a hole in the
// middle is found, whatever came after it. A message that has changed since is
// told as message.updated, and a conversation whose named fields differ from
// those last told, as conversation.updated.
//
// # When
//
// After every connection: what the socket brings meanwhile is held, for at most
// 30 s or 64 MiB, so that what was missed comes first. Then at an interval and
// on suspicion: what is missing then may be on its way, and is published when
// it is still missing 5 s later. A slow sweep over all conversations finds what
// moves no last activity. While REST does not answer, live events go on.
//
// # Memory
//
// The index of an account is kept in the stream STATE as of an event, by
// sequence and id, and is brought up to date at the start by the events since.
// Where that event is gone, because the server's end was not clean, all that
// was told since the last surviving one, less the overlap, counts as not told.
//
// At the first start nothing of the past is told: what is older than the
// backend's newest activity, or than Options.Backfill before it, is the floor.
package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Options are what a reconciler is made of. A zero duration or number is its
// default.
type Options struct {
	Account string
	Reader  connectors.Reader
	// Publish makes an event of a frame and publishes it, in the order of the
	// calls; it blocks while the stream takes no more. One goroutine at a time
	// calls it. When the event is in the stream, Stored is to be called; also
	// when it cannot be at all.
	Publish func(ctx context.Context, item Item) error
	// Log is what has been published.
	Events Events
	State  State
	// Interval is the time between comparisons; default 60 s. Sweep is in what
	// time all conversations are compared; default 15 min.
	Interval, Sweep time.Duration
	// Depth is how old a message may be whose edits are found; default 24 h.
	Depth time.Duration
	// Rate is how many requests a second are made at most, but for those after
	// a connection; default 10.
	Rate float64
	// Backfill is how far before the backend's newest activity the past is
	// published at the first start.
	Backfill time.Duration
	// Settle is how long something must be missing to be published while the
	// socket is good; default 5 s.
	Settle time.Duration
	Log    *slog.Logger
}

// Item is something to publish.
type Item struct {
	Frame connectors.Frame
	// ID is the event's.
	ID string
	// Event is what the socket's frame became when it came; nil: the frame is
	// the REST API's, and is replayed.
	Event *event.Event
}

const (
	// overlap is how long what has happened may take to be seen by REST.
	overlap = 2 * time.Minute
	// maxHeld and maxHeldBytes bound what is held during the comparison after a
	// connection.
	maxHeld, maxHeldBytes = 30 * time.Second, 64 << 20
	// saveEvery is how often the memory is written.
	saveEvery = 5 * time.Second
	// suspicionWait lets suspicions gather.
	suspicionWait = time.Second
)

// Reconciler compares one account. Its methods are safe for concurrent use.
type Reconciler struct {
	o     Options
	pace  *rate.Limiter
	cause chan struct{} // has one when there is a suspicion
	found chan struct{} // has one when there is a connection
	floor chan struct{} // has one when the floor was set
	loss  chan struct{} // has one when the stream may have lost events

	mu     sync.Mutex
	memory *memory
	loaded chan struct{} // closed when memory is
	held   *held         // nil: nothing is held
	// suspects are conversations to be compared.
	suspects map[string]struct{}
	status   Status
	cursor   cursor
	// from is where the events begin that the memory does not keep; history has
	// the places since.
	from    place
	history []place
	// begun: the floor is known. swept: all conversations were seen once.
	begun, swept bool

	flight flight
}

// Status tells what a reconciler does.
type Status struct {
	// Replayed is what was missed and found, since the bridge began.
	Replayed uint64 `json:"replayed"`
	// Duplicates is what the socket told again.
	Duplicates uint64 `json:"duplicates"`
	// Compared is when the last comparison was complete; zero: none was.
	Compared time.Time `json:"compared,omitzero"`
	// Held is how many events wait for the comparison after a connection.
	Held int `json:"held"`
	// Conversations is how many are known.
	Conversations int `json:"conversations"`
	// Problem is why the last comparison failed; empty: it did not.
	Problem string `json:"problem,omitempty"`
}

// New returns a reconciler. It does nothing before Run.
func New(o Options) *Reconciler {
	def := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	def(&o.Interval, time.Minute)
	def(&o.Sweep, 15*time.Minute)
	def(&o.Depth, 24*time.Hour)
	def(&o.Settle, 5*time.Second)
	if o.Rate <= 0 {
		o.Rate = 10
	}
	return &Reconciler{
		o: o, pace: rate.NewLimiter(rate.Limit(o.Rate), max(1, int(o.Rate))), cause: make(chan struct{}, 1), found: make(chan struct{}, 1), floor: make(chan struct{}, 1), loss: make(chan struct{}, 1),
		memory: newMemory(o.Account), loaded: make(chan struct{}), suspects: map[string]struct{}{},
	}
}

// Run compares until ctx ends, and writes the memory at the end. Nothing must
// be taken before Loaded.
func (r *Reconciler) Run(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	close(r.loaded)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.connections(ctx) })
	group.Go(func() error { return r.watch(ctx) })
	group.Go(func() error { return r.sweep(ctx) })
	group.Go(func() error { return r.keep(ctx) })
	return group.Wait()
}

// Loaded waits until the memory is there.
func (r *Reconciler) Loaded(ctx context.Context) error {
	select {
	case <-r.loaded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Status is how the reconciler stands now.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Conversations = len(r.memory.conversations)
	if r.held != nil {
		s.Held = len(r.held.items)
	}
	return s
}

// Suspect asks for a comparison: something happened that the socket may not
// have told.
func (r *Reconciler) Suspect() { signal(r.cause) }

// Distrust says that the stream may have lost events that were in it: the memory
// is read again from what is there.
func (r *Reconciler) Distrust() { signal(r.loss) }

// suspect asks for the comparison of one conversation. The caller holds the
// lock.
func (r *Reconciler) suspect(conversation string) {
	r.suspects[conversation] = struct{}{}
	signal(r.cause)
}

// signal makes sure that there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// connections closes the gap before each connection.
func (r *Reconciler) connections(ctx context.Context) error {
	var again <-chan time.Time // after a reading that failed
	for {
		read := true
		select {
		case <-r.found:
			read = false
		case <-r.loss:
		case <-again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if read {
			again = nil
			if err := r.load(ctx); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				r.o.Log.Warn("what was published is read again a little later", "error", err)
				again = time.After(suspicionWait)
				continue
			}
		}
		if err := r.fill(ctx); err != nil {
			return err
		}
	}
}

// fill compares while what the socket brings is held, and lets that go
// afterwards. What cannot be compared now is a suspicion.
func (r *Reconciler) fill(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, maxHeld)
	defer cancel()
	err := r.pass(bounded, atOnce)
	r.report(err)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.Suspect()
	}
	return r.release(ctx)
}

// watch compares at the interval, and on suspicion.
func (r *Reconciler) watch(ctx context.Context) error {
	tick := time.NewTicker(r.o.Interval)
	defer tick.Stop()
	retries := newRetries()
	for {
		select {
		case <-tick.C:
		case <-r.cause:
			if err := sleep(ctx, suspicionWait); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for {
			err := r.pass(ctx, patiently)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.report(err)
			if err == nil {
				retries.Reset()
				break
			}
			if err := sleep(ctx, retries.after(err)); err != nil {
				return err
			}
		}
	}
}

// report keeps what became of a comparison, and says so when that is new.
func (r *Reconciler) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.status.Problem
	r.status.Problem = ""
	if err == nil {
		r.status.Compared = time.Now()
		if was != "" {
			r.o.Log.Info("the backend's REST API can be compared with again")
		}
		return
	}
	if errors.Is(err, context.Canceled) {
		return
	}
	r.status.Problem = err.Error()
	if was == "" {
		r.o.Log.Warn("what the socket does not tell is not found now: the backend's REST API cannot be compared with", "error", err)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
