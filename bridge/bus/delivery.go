package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Delivery is one event of a feed.
type Delivery struct {
	feed  *Feed
	msg   jetstream.Msg // nil: parked
	reply string
	seq   uint64
	// key is not empty where it is delivered once more.
	key string
	// Event is the event itself; of a parked delivery its id alone.
	Event event.Event
}

// Sequence tells the feed's deliveries apart and is the event's place in the
// stream; of what is delivered once more it has the highest bit set, and is its
// place among those.
func (d *Delivery) Sequence() uint64 { return d.seq }

// Key is what a receiver may tell deliveries of the same event by: the event's
// id and, where it is delivered once more, a fresh one.
func (d *Delivery) Key() string { return cmp.Or(d.key, d.Event.ID) }

// Again says that the operator had the event delivered once more.
func (d *Delivery) Again() bool { return d.key != "" }

// Park lets go of the event but for its id.
func (d *Delivery) Park() {
	d.msg, d.reply, d.Event = nil, strings.Clone(d.reply), event.Event{ID: strings.Clone(d.Event.ID)}
}

// ErrGone is returned by Fetch when the event is no longer in the stream.
var ErrGone = errors.New("the event is no longer in the stream")

// Fetch reads the event of a parked delivery again.
func (d *Delivery) Fetch(ctx context.Context) (event.Event, error) {
	raw, err := d.read(ctx)
	if err != nil {
		return event.Event{}, err
	}
	return decode(raw.Header, raw.Data)
}

func (d *Delivery) read(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	from := d.feed.events
	if d.Again() {
		from = d.feed.again
	}
	raw, err := from.stream.GetMsg(ctx, d.seq&^againMark)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("read event %d of stream %s: %w", d.seq&^againMark, from.stream.CachedInfo().Config.Name, err)
	}
	// What the server adds to say where it was would say it of the dead letter.
	for _, added := range []string{jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer} {
		raw.Header.Del(added)
	}
	return raw, nil
}

// Ack says that the event is done. It does not wait: an acknowledgement that
// gets lost brings the event again.
func (d *Delivery) Ack() error { return d.feed.bus.conn.Publish(d.reply, ackDone) }

// Hold says that the event is being worked on.
func (d *Delivery) Hold() error { return d.feed.bus.conn.Publish(d.reply, ackProgress) }

// What a consumer understands as an answer to a delivery.
var ackDone, ackProgress = []byte("+ACK"), []byte("+WPI")

// Dead stores the event as a dead letter of the feed's owner, and then says
// that it is done.
func (d *Delivery) Dead(ctx context.Context, reason string, attempts int) error {
	var header nats.Header
	var data []byte
	if d.msg != nil {
		header, data = d.msg.Headers(), d.msg.Data()
	} else {
		raw, err := d.read(ctx)
		if err != nil {
			return err
		}
		header, data = raw.Header, raw.Data
	}
	e, err := decode(header, data)
	if err != nil {
		e = d.Event // what it has of one
	}
	if err := d.feed.bus.bury(ctx, d.feed.spec.Owner, d.feed.spec.Name, e.Account, e.Conversation, header, data, reason, attempts); err != nil {
		return err
	}
	return d.Ack()
}
