package outbox

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/time/rate"
)

// turns paces the sending of an account's actions, and is fair: the senders
// that have something ready take turns, whatever each has.
type turns struct {
	limiter *rate.Limiter // nil: there is no limit, and no turns

	mu      sync.Mutex
	waiting map[string][]chan struct{} // by sender, in the order of asking
	order   []string                   // senders who wait, the next first
	more    chan struct{}              // has a token when somebody waits
}

func newTurns(perSecond float64) *turns {
	t := &turns{waiting: map[string][]chan struct{}{}, more: make(chan struct{}, 1)}
	if perSecond > 0 {
		t.limiter = rate.NewLimiter(rate.Limit(perSecond), 1)
	}
	return t
}

// wait returns when it is the sender's turn to send one action, or ctx ends.
func (t *turns) wait(ctx context.Context, sender string) error {
	if t.limiter == nil {
		return nil
	}
	mine := make(chan struct{})
	t.mu.Lock()
	if len(t.waiting[sender]) == 0 {
		t.order = append(t.order, sender)
	}
	t.waiting[sender] = append(t.waiting[sender], mine)
	t.mu.Unlock()
	select {
	case t.more <- struct{}{}:
	default:
	}
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		t.giveUp(sender, mine)
		return context.Cause(ctx)
	}
}

func (t *turns) giveUp(sender string, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting[sender], mine); i >= 0 {
		t.waiting[sender] = slices.Delete(t.waiting[sender], i, i+1)
		t.tidy(sender)
	}
}

// tidy takes a sender who waits for nothing out of the order. The caller holds
// the lock.
func (t *turns) tidy(sender string) {
	if len(t.waiting[sender]) > 0 {
		return
	}
	delete(t.waiting, sender)
	t.order = slices.DeleteFunc(t.order, func(s string) bool { return s == sender })
}

// run gives the turns until ctx ends.
func (t *turns) run(ctx context.Context) {
	if t.limiter == nil {
		return
	}
	for {
		select {
		case <-t.more:
		case <-ctx.Done():
			return
		}
		for t.anybody() {
			// Who it is for is decided when it is there: a sender that comes
			// meanwhile is not behind all that others have.
			if err := t.limiter.Wait(ctx); err != nil {
				return
			}
			t.give()
		}
	}
}

func (t *turns) anybody() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.order) > 0
}

// give gives a turn to the sender whose it is.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 { // it gave up meanwhile
		return
	}
	sender := t.order[0]
	close(t.waiting[sender][0])
	t.waiting[sender] = t.waiting[sender][1:]
	if t.order = t.order[1:]; len(t.waiting[sender]) > 0 {
		t.order = append(t.order, sender)
		return
	}
	delete(t.waiting, sender)
}
