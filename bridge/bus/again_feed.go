package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// heldAgain is how many deliveries that come once more may be out at once. A
// conversation's new events wait behind those of it.
const heldAgain = 1024

// againMark sets the sequences of what is delivered once more apart from those
// of the stream of events.
const againMark = 1 << 63

// openAgain opens what the feed is to be given once more, in order from the
// oldest that is not done.
func (f *Feed) openAgain(ctx context.Context) error {
	b, name := f.bus, f.spec.Owner+"_"+f.spec.Name
	held := max(1, min(heldAgain, f.spec.Held))
	consumer, err := b.ensureConsumer(ctx, b.streams.again, jetstream.ConsumerConfig{
		Durable: name, FilterSubjects: []string{b.subjects.agains(f.spec.Owner, f.spec.Name, "", "")},
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: held,
	})
	if err != nil {
		return fmt.Errorf("open consumer %s of what comes once more: %w", name, err)
	}
	f.again, err = consumer.Messages(jetstream.PullMaxMessages(min(prefetch, held)),
		jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return fmt.Errorf("pull from consumer %s of what comes once more: %w", name, err)
	}
	return nil
}

var errUnselected = errors.New("it was to be delivered once more, and the plugin is not granted it, or the feed does not ask for it, any more")

// readAgain completes a delivery that comes once more. What the plugin was
// granted, or the feed selects, can have changed while it waited.
func (f *Feed) readAgain(d *Delivery) error {
	d.seq |= againMark
	d.key = d.msg.Headers().Get(headerKey)
	for _, account := range f.spec.Accounts {
		if account == d.Event.Account && matches(f.spec.Events, d.Event.Type) {
			return nil
		}
	}
	return errUnselected
}

// mergedAhead spares the consumers waiting for each other message by message.
const mergedAhead = 64

// merged are the messages of a feed's two consumers.
type merged struct {
	got  chan message
	end  context.CancelFunc
	done sync.WaitGroup
}

type message struct {
	msg   jetstream.Msg
	again bool
	err   error
}

// merge begins to bring messages; those of either keep their order. events may
// be nil.
func merge(events, again jetstream.MessagesContext) *merged {
	ctx, end := context.WithCancel(context.Background())
	m := &merged{got: make(chan message, mergedAhead), end: end}
	bring := func(from jetstream.MessagesContext, again bool) {
		for {
			msg, err := from.Next(jetstream.NextContext(ctx))
			select {
			case m.got <- message{msg, again, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}
	if events != nil {
		m.done.Go(func() { bring(events, false) })
	}
	m.done.Go(func() { bring(again, true) })
	return m
}

func (m *merged) next(ctx context.Context) (message, error) {
	select {
	case got := <-m.got:
		return got, got.err
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

// close ends it. What was brought and not taken comes again with the next feed.
func (m *merged) close() {
	m.end()
	m.done.Wait()
}
