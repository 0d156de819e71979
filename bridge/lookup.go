package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors"
)

const (
	// lookUps is how many conversations of an account are looked up at once.
	lookUps = 4
	// lookUpRate is how many are looked up in a second, where the account does
	// not say how often its REST API may be asked.
	lookUpRate = 10
)

// lookUp reads conversations at an account's backend, as often as it likes.
type lookUp struct {
	reader connectors.Reader
	pace   *rate.Limiter
	room   chan struct{} // has a token of each under way

	mu    sync.Mutex
	until time.Time // the backend wants to be left alone
}

func newLookUp(reader connectors.Reader, perSecond float64) *lookUp {
	if perSecond <= 0 {
		perSecond = lookUpRate
	}
	return &lookUp{
		reader: reader, pace: rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond))), room: make(chan struct{}, lookUps),
	}
}

// LookUp asks the account's backend for a conversation with all its messages.
// It waits for its turn: a backend is asked so often and no more. An error that
// matches [connectors.ErrNotFound] says that there is none of that id.
func (b *Bridge) LookUp(ctx context.Context, account, conversation string) (connectors.Detail, error) {
	for _, a := range b.accounts {
		if a.name == account {
			return a.lookUp.read(ctx, conversation)
		}
	}
	return connectors.Detail{}, fmt.Errorf("%w %q", outbox.ErrUnknownAccount, account)
}

func (l *lookUp) read(ctx context.Context, conversation string) (connectors.Detail, error) {
	select {
	case l.room <- struct{}{}:
		defer func() { <-l.room }()
	case <-ctx.Done():
		return connectors.Detail{}, context.Cause(ctx)
	}
	l.mu.Lock()
	wait := time.Until(l.until)
	l.mu.Unlock()
	if wait > 0 {
		return connectors.Detail{}, fmt.Errorf("the backend asked to be left alone for another %s", wait.Round(time.Millisecond))
	}
	if err := l.pace.Wait(ctx); err != nil {
		return connectors.Detail{}, fmt.Errorf("wait for a turn to ask the backend: %w", err)
	}
	detail, err := l.reader.Conversation(ctx, conversation)
	if busy, ok := errors.AsType[*connectors.Busy](err); ok && busy.After > 0 {
		l.mu.Lock()
		l.until = time.Now().Add(busy.After)
		l.mu.Unlock()
	}
	return detail, err
}
