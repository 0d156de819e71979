package sdk

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// healthTimeout bounds one call of a plugin's Health.
const healthTimeout = 10 * time.Second

// health answers pings with what is known already: asking a plugin how it is
// may take its time.
type health struct {
	check func(context.Context) error // nil: always well

	mu      sync.Mutex
	asking  bool
	problem string // by the last answer; empty: none
}

// ask returns what is known, and finds out anew beside it.
func (h *health) ask(ctx context.Context) string {
	if h.check == nil {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.asking {
		h.asking = true
		go h.find(ctx)
	}
	return h.problem
}

func (h *health) find(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTimeout, fmt.Errorf("not known after %s", healthTimeout))
	defer cancel()
	// What takes longer is a problem before it has come to its end.
	stop := context.AfterFunc(ctx, func() { h.say(context.Cause(ctx)) })
	err := h.call(ctx)
	if stop() { // else that it took too long is said
		h.say(err)
	}
	h.mu.Lock()
	h.asking = false
	h.mu.Unlock()
}

func (h *health) call(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the health check panicked: %v", p)
		}
	}()
	return h.check(ctx)
}

func (h *health) say(err error) {
	text := ""
	if err != nil {
		text = reason(err)
	}
	h.mu.Lock()
	h.problem = text
	h.mu.Unlock()
}
