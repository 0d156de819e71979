package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

const (
	// typingEvery keeps typing shown: the bridge stops it 3 s after it last
	// heard of it.
	typingEvery = 2 * time.Second
	// typingStop bounds the last word on it, which outlives the handler's time.
	typingStop = 2 * time.Second
)

// Typing shows the customer that an answer is being written, for as long as fn
// runs, and stops it however fn ends. It returns what fn returns: typing that
// cannot be shown (it was not granted, or the backend is away) is worth a
// record at debug, and no more.
func (d *Delivery) Typing(ctx context.Context, fn func(context.Context) error) error {
	shown := d.send(ctx, event.StartTyping, nil)
	if shown != nil {
		d.Log.Debug("typing is not shown", "error", shown)
		return fn(ctx)
	}
	keeping, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { d.keepTyping(keeping) })
	defer func() {
		stop()
		keeper.Wait() // a start must not come after the stop
		last, done := context.WithTimeout(context.WithoutCancel(ctx), typingStop)
		defer done()
		if err := d.send(last, event.StopTyping, nil); err != nil {
			d.Log.Debug("typing could not be stopped; the bridge stops it after 3 s", "error", err)
		}
	}()
	return fn(ctx)
}

func (d *Delivery) keepTyping(ctx context.Context) {
	again := time.NewTicker(typingEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if err := d.send(ctx, event.StartTyping, nil); err != nil && ctx.Err() == nil {
				d.Log.Debug("typing is no longer shown", "error", err)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
