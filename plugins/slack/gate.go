package slack

import (
	"context"
	"errors"
	"time"
)

// gate lets one post at a time into a channel, and none while Slack wants
// none: a burst must not become a hail of requests that are refused.
type gate struct {
	turn  chan struct{} // held by who is inside
	opens time.Time     // belongs to who has the turn
}

func newGate() *gate { return &gate{turn: make(chan struct{}, 1)} }

// pass waits for its turn and for the gate to open, and calls post. A
// [limitedError] of it closes the gate.
func (g *gate) pass(ctx context.Context, post func() error) error {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-g.turn }()
	if wait := time.Until(g.opens); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := post()
	var limited *limitedError
	if errors.As(err, &limited) {
		g.opens = time.Now().Add(limited.after)
	}
	return err
}
