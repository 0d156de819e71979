package bus

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Raw reads so many of the stored events by a bare consumer that acknowledges
// each, and returns how many it was per second: what a feed of the bench is
// measured against.
func (b *Bus) Raw(ctx context.Context, events int) (perSecond float64, err error) {
	consumer, err := b.js.CreateConsumer(ctx, b.streams.events, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 65536,
	})
	if err != nil {
		return 0, fmt.Errorf("make a bare consumer: %w", err)
	}
	defer func() {
		_ = b.js.DeleteConsumer(ctx, b.streams.events, consumer.CachedInfo().Name) // it would go by itself
	}()
	var n atomic.Int64
	all := make(chan struct{})
	began := time.Now()
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		_ = m.Ack() // unacknowledged, it would come again, after the time of this
		if n.Add(1) == int64(events) {
			close(all)
		}
	}, jetstream.PullMaxMessages(pull))
	if err != nil {
		return 0, fmt.Errorf("pull from a bare consumer: %w", err)
	}
	defer func() {
		consuming.Stop()
		<-consuming.Closed()
	}()
	select {
	case <-all:
		return float64(events) / time.Since(began).Seconds(), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
