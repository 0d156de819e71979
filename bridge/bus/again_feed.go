package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// heldAgain is how many deliveries that come once more may be out at once, if
// that is no more than a quarter of what the feed may have in memory. They come
// unasked, beside that. A conversation's new events wait behind those of it.
const heldAgain = 1024

// heartbeatAgain is how often the server says that it keeps a pull of them open.
const heartbeatAgain = 5 * time.Second

// againMark sets the sequences of what is delivered once more apart from those
// of the stream of events.
const againMark = 1 << 63

// openAgain opens what the feed is to be given once more, in order from the
// oldest that is not done.
func (f *Feed) openAgain(ctx context.Context) error {
	b, name := f.bus, f.spec.Owner+"_"+f.spec.Name
	held := max(1, min(heldAgain, f.spec.Held/4))
	stream, err := b.js.Stream(ctx, b.streams.again)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", b.streams.again, err)
	}
	consumer, err := b.ensureConsumer(ctx, b.streams.again, jetstream.ConsumerConfig{
		Durable: name, FilterSubjects: []string{b.subjects.agains(f.spec.Owner, f.spec.Name, "", "")},
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: held,
	})
	if err != nil {
		return fmt.Errorf("open consumer %s of what comes once more: %w", name, err)
	}
	f.again = &puller{consumer: consumer, stream: stream, heartbeat: heartbeatAgain}
	return nil
}

var errUnselected = errors.New("it was to be delivered once more, and the plugin is not granted it, or the feed does not ask for it, any more")

// readAgain completes a delivery that comes once more. What the plugin was
// granted, or the feed selects, can have changed while it waited.
func (f *Feed) readAgain(d *Delivery) error {
	d.key = cmp.Or(d.msg.Headers().Get(headerKey), againKey(d.Event.ID, strconv.FormatUint(d.seq, 10)))
	d.seq |= againMark
	if f.spec.wants(d.Event) {
		return nil
	}
	return errUnselected
}
