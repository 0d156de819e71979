package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// ErrNotGranted: the sender may not do that, or not there.
var ErrNotGranted = errors.New("not granted")

// ErrTooFast: the sender does more in a second than it may.
var ErrTooFast = errors.New("too many actions at once")

const statusNotGranted = http.StatusForbidden

// tooFastEvery is how often the log says that a bot is too fast.
const tooFastEvery = 10 * time.Second

// Bot is a sender that stands at NATS itself, and what it may do. See
// [bus.Bot].
type Bot struct {
	// Name is the sender of its actions, whatever they say themselves.
	Name string
	// Accounts and Actions are what it may do, and where; none: nothing.
	Accounts []string
	Actions  []event.ActionType
	// Rate is how many actions a second it may send, with Burst at once. What is
	// refused counts.
	Rate  float64
	Burst int
}

// Bots takes the actions of bots through the door. It is safe for concurrent
// use.
type Bots struct {
	door *Door
	log  *slog.Logger
	list []*bot
}

type bot struct {
	Bot
	limit *rate.Limiter
	// said is when the log last said that it is too fast; of the goroutine that
	// takes its actions.
	said      time.Time
	accepted  atomic.Uint64
	duplicate atomic.Uint64
	refused   atomic.Uint64
	lastError atomic.Pointer[string]
}

// NewBots returns the bots, which are heard while Run runs.
func NewBots(d *Door, bots []Bot, log *slog.Logger) *Bots {
	b := &Bots{door: d, log: log}
	for _, is := range bots {
		b.list = append(b.list, &bot{Bot: is, limit: rate.NewLimiter(rate.Limit(is.Rate), is.Burst)})
	}
	return b
}

// BotStatus is what became of a bot's actions.
type BotStatus struct {
	Name string `json:"name"`
	// Accepted, Duplicates and Refused count its actions. Typing that was sent
	// counts as accepted.
	Accepted   uint64 `json:"accepted"`
	Duplicates uint64 `json:"duplicates"`
	Refused    uint64 `json:"refused"`
	// LastError is why the last of them was refused; empty: none was.
	LastError string `json:"last_error,omitempty"`
}

// Status tells of each bot, in the order in which they were given.
func (b *Bots) Status() []BotStatus {
	list := make([]BotStatus, len(b.list))
	for i, is := range b.list {
		list[i] = BotStatus{Name: is.Name, Accepted: is.accepted.Load(), Duplicates: is.duplicate.Load(), Refused: is.refused.Load()}
		if said := is.lastError.Load(); said != nil {
			list[i].LastError = *said
		}
	}
	return list
}

// Run answers the actions of the bots until ctx ends.
func (b *Bots) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, is := range b.list {
		group.Go(func() error { return b.listen(ctx, is) })
	}
	group.Go(func() error { // without bots as well
		<-ctx.Done()
		return context.Cause(ctx)
	})
	return group.Wait()
}

func (b *Bots) listen(ctx context.Context, is *bot) error {
	for {
		err := b.door.load(ctx)
		if err == nil {
			var stop func()
			if stop, err = b.door.bus.ServeBot(is.Name, func(r *bus.ActionRequest) { b.take(is, r) }); err == nil {
				defer stop()
				<-ctx.Done()
				return context.Cause(ctx)
			}
			b.log.Warn("a bot is not heard yet", "bot", is.Name, "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *Bots) take(is *bot, r *bus.ActionRequest) {
	refuse := func(code int, err error) { b.answer(is, r, bus.Answer{Code: code, Err: err}) }
	switch a := r.Action; {
	case !is.limit.Allow():
		refuse(statusFull, fmt.Errorf("%w: bot %s may send %g a second, which is bots.%s.rate; send this one again later", ErrTooFast, is.Name, is.Rate, is.Name))
	case r.Err != nil:
		refuse(statusInvalid, fmt.Errorf("%w: %w", event.ErrInvalidAction, r.Err))
	case !slices.Contains(is.Accounts, a.Account):
		refuse(statusNotGranted, fmt.Errorf("%w: bot %s has no account %q; it has %s (bots.%s.accounts)",
			ErrNotGranted, is.Name, a.Account, listed(is.Accounts), is.Name))
	case !slices.Contains(is.Actions, a.Type):
		refuse(statusNotGranted, fmt.Errorf("%w: bot %s may not %s; it may %s (bots.%s.actions)",
			ErrNotGranted, is.Name, a.Type, listed(is.Actions), is.Name))
	default:
		b.door.take(is.Name, a, func(answer bus.Answer) { b.answer(is, r, answer) })
	}
}

// answer tells the bot, and the operator what it was not allowed.
func (b *Bots) answer(is *bot, r *bus.ActionRequest, a bus.Answer) {
	switch {
	case a.Err == nil && a.Duplicate:
		is.duplicate.Add(1)
	case a.Err == nil:
		is.accepted.Add(1)
	default:
		is.refused.Add(1)
		said := a.Err.Error()
		is.lastError.Store(&said)
	}
	switch {
	case errors.Is(a.Err, ErrTooFast):
		// Said of each, it would be what floods.
		if time.Since(is.said) >= tooFastEvery {
			is.said = time.Now()
			b.log.Warn("actions refused", "bot", is.Name, "error", a.Err)
		}
	case a.Err != nil:
		b.log.Warn("action refused", "bot", is.Name, "action", r.Action.Type, "account", r.Action.Account,
			"conversation", r.Action.Conversation, "error", a.Err)
	}
	if err := r.Answer(a); err != nil {
		b.log.Warn("a bot could not be answered", "bot", is.Name, "error", err)
	}
}

// listed is a list for an error; nothing of it is the bot's own.
func listed[S ~string](list []S) string {
	if len(list) == 0 {
		return "none"
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
