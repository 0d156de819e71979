package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Count is how many events of an account the stream has that the pattern
// selects.
func (b *Bus) Count(ctx context.Context, account string, p event.Pattern) (uint64, error) {
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.subjects.events(account, "", p)))
	if err != nil {
		return 0, fmt.Errorf("count events: %w", err)
	}
	var n uint64
	for _, count := range info.State.Subjects {
		n += count
	}
	return n, nil
}
