package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// positionsEvery is how often the places of the feeds are kept.
const positionsEvery = 5 * time.Second

// lastPositions bounds the last time.
const lastPositions = time.Second

// KeepPositions writes, until ctx ends and once more then, up to which event
// each feed is done: a consumer that is gone after an unclean end is made anew
// from there.
func (b *Bus) KeepPositions(ctx context.Context) error {
	tick := time.NewTicker(positionsEvery)
	defer tick.Stop()
	known := map[string]uint64{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPositions)
			defer cancel()
			if err := b.keepPositions(last, known); err != nil {
				b.log.Debug("the places of the feeds are not kept", "error", err)
			}
			return context.Cause(ctx)
		}
		if err := b.keepPositions(ctx, known); err != nil && ctx.Err() == nil {
			b.log.Debug("the places of the feeds are kept later", "error", err)
		}
	}
}

func (b *Bus) keepPositions(ctx context.Context, known map[string]uint64) error {
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return fmt.Errorf("keep the places of the feeds: %w", err)
	}
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		floor := info.AckFloor.Stream
		if info.Config.Durable == "" || floor == known[info.Name] {
			continue
		}
		if err := b.saveState(ctx, b.subjects.position(info.Name), floor, []byte(strconv.FormatUint(floor, 10))); err != nil {
			return fmt.Errorf("keep the place of %s: %w", info.Name, err)
		}
		known[info.Name] = floor
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("keep the places of the feeds: %w", err)
	}
	return nil
}

// position is up to which event a feed was done when that was last kept; false:
// nothing is known of it.
func (b *Bus) position(ctx context.Context, consumer string) (uint64, bool, error) {
	stream, err := b.js.Stream(ctx, b.streams.state)
	if err != nil {
		return 0, false, fmt.Errorf("read the place of %s: %w", consumer, err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, b.subjects.position(consumer))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the place of %s: %w", consumer, err)
	}
	n, err := strconv.ParseUint(string(msg.Data), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("read the place of %s: %w", consumer, err)
	}
	return n, true, nil
}
