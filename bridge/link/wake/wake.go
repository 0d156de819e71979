// Package wake tells when the machine has slept, and when its network came
// back.
//
// A sleep shows in the wall clock, which goes on meanwhile, against the
// monotonic one, which does not; so does a virtual machine that was stopped for a
// while, and a clock that is set forward by hand. The network is asked where the
// system tells of it: on Linux, by netlink.
package wake

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Reason is what woke; it is written for people, too.
type Reason string

// The reasons.
const (
	Slept   Reason = "the machine slept"
	Network Reason = "the network came back"
)

const (
	// tick is how often the clocks are compared.
	tick = 5 * time.Second
	// sleep is how far the wall clock must run ahead between two ticks.
	sleep = 10 * time.Second
	// quiet is how long news of the network are gathered: an interface that
	// comes up is told of several times.
	quiet = time.Second
)

// Watch calls woke, never twice at a time, until ctx ends, and returns its
// cause. One is enough for a process. Where the network cannot be watched it
// says so in the log, and goes on with the clocks.
func Watch(ctx context.Context, log *slog.Logger, woke func(Reason)) error {
	var mu sync.Mutex
	tell := func(r Reason) {
		mu.Lock()
		defer mu.Unlock()
		log.Info("woke", "reason", r)
		woke(r)
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { watchClocks(ctx, wall, func() { tell(Slept) }) })
	news := make(chan struct{}, 1)
	watching.Go(func() { gather(ctx, news, func() { tell(Network) }) })
	if err := watchNetwork(ctx, func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}); err != nil && ctx.Err() == nil {
		log.Info("the network is not watched; a connection that it breaks is noticed by its heartbeat", "error", err)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// wall is the wall clock, without the monotonic one.
func wall() time.Time { return time.Now().Round(0) }

// watchClocks calls slept when the wall clock has run ahead of the monotonic
// one. The tests have a wall clock of their own.
func watchClocks(ctx context.Context, wall func() time.Time, slept func()) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	since, at := time.Now(), wall()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, here := time.Now(), wall()
		if here.Sub(at)-now.Sub(since) > sleep {
			slept()
		}
		since, at = now, here
	}
}

// gather calls woke at the first of the news, and then at most once for all that
// come within a while.
func gather(ctx context.Context, news <-chan struct{}, woke func()) {
	for {
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
		woke()
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return
		}
	}
}
