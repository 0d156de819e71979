package simulator

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// linger is how long a frame waits for others that might overtake it.
const linger = 50 * time.Millisecond

// crowd is what waits at a socket whose frames are reordered, in the order they
// came.
type crowd struct {
	chance  *rand.Rand
	waiting []waiter
}

// waiter is a frame, and how many have overtaken it.
type waiter struct {
	raw    []byte
	passed int
}

// next returns the frame to write: that of the queue, or while frames are
// reordered, any of those that wait. When that ends the rest go in order.
func (s *socket) next() ([]byte, error) {
	c := &s.crowd
	if len(c.waiting) == 0 {
		select {
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		case raw := <-s.queue:
			if s.effect.Load().late == 0 {
				return raw, nil
			}
			c.waiting = append(c.waiting, waiter{raw, 0})
		}
	}
	late := s.effect.Load().late
	patience := time.NewTimer(linger)
	defer patience.Stop()
	for waiting := true; waiting && len(c.waiting) <= late; {
		select {
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		case raw := <-s.queue:
			c.waiting = append(c.waiting, waiter{raw, 0})
		case <-patience.C:
			waiting = false
		}
	}
	return c.take(late), nil
}

// take takes out the frame that goes next. An update overtakes nothing, and
// nothing is overtaken by more than late.
func (c *crowd) take(late int) []byte {
	i := c.chance.IntN(len(c.waiting))
	chosen := c.waiting[i]
	ahead := c.waiting[:i]
	if updates(chosen.raw) || slices.ContainsFunc(ahead, func(w waiter) bool { return w.passed >= late }) {
		i, chosen, ahead = 0, c.waiting[0], nil
	}
	for j := range ahead {
		ahead[j].passed++
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	return chosen.raw
}

// updates reports whether a frame tells the new state of a thing.
func updates(frame []byte) bool {
	return bytes.HasPrefix(frame, []byte(`{"type": "message.updated"`)) ||
		bytes.HasPrefix(frame, []byte(`{"type": "conversation.updated"`))
}
