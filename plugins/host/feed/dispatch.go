package feed

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// dispatch sends the heads of ready lanes while the window has room.
func (f *Feed) dispatch(ctx context.Context) {
	for f.paused.IsZero() && !f.throttled && len(f.inside)+f.fetching < f.Window {
		from := &f.ready
		if len(f.first) > 0 {
			from = &f.first
		}
		if len(*from) == 0 {
			return
		}
		l := (*from)[0]
		head := l.queue[0]
		if head.wrong == "" && head.event != nil && !f.allowed() {
			return
		}
		*from = (*from)[1:]
		switch {
		case head.wrong != "":
			f.dead(ctx, l, head.wrong)
		case head.event == nil:
			f.fetch(ctx, l)
		default:
			f.send(ctx, l)
		}
	}
}

// allowed reports whether the rate allows a delivery now. If not, the feed goes
// on when it does.
func (f *Feed) allowed() bool {
	if f.limiter == nil {
		return true
	}
	now := time.Now()
	if f.limiter.AllowN(now, 1) {
		return true
	}
	next := f.limiter.ReserveN(now, 1)
	d := next.DelayFrom(now)
	next.CancelAt(now)
	f.throttled = true
	f.after(d, func() { f.throttled = false })
	return false
}

// send lets the lane's head into the plugin.
func (f *Feed) send(ctx context.Context, l *lane) {
	head := l.queue[0]
	l.attempt++
	f.last++
	l.sent = time.Now()
	id := f.FirstID + f.last
	f.inside[id] = l
	f.Stats.delivered.Add(1)
	f.Deliver(ctx, &pluginv1.Delivery{
		Id: id, Feed: f.Name, Attempt: uint32(l.attempt), What: &pluginv1.Delivery_Event{Event: Wire(f.trace(l))},
		Key: strings.ToValidUTF8(head.delivery.Key(), "\uFFFD"), Again: head.delivery.Again(),
	})
}

// fetched is what came of fetching the head of a lane.
type fetched struct {
	lane  *lane
	event event.Event
	err   error
}

// fetch reads the lane's head again, which was parked. It has a place in the
// window meanwhile, which bounds how many are fetched at once.
func (f *Feed) fetch(ctx context.Context, l *lane) {
	f.fetching++
	d := l.queue[0].delivery
	go func() {
		bounded, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		e, err := d.Fetch(bounded)
		f.fetched <- fetched{l, e, err}
	}()
}

// storeTimeout bounds what the store may take for one event, and is how long
// it is waited after a failure.
const storeTimeout = 5 * time.Second

func (f *Feed) arrived(got fetched) {
	f.fetching--
	l := got.lane
	head := l.queue[0]
	switch {
	case got.err == nil:
		head.event = &got.event
		f.loaded++
		f.first = append(f.first, l)
	case errors.Is(got.err, ErrGone):
		f.gone(l)
	default:
		f.Log.Warn("event could not be fetched again; it is tried later", "feed", f.Name,
			"sequence", head.delivery.Sequence(), "error", got.err)
		f.wait(l, storeTimeout)
	}
}

// gone gives up a head that waited for longer than the operator has events
// stored. There is nothing left to make a dead letter of.
func (f *Feed) gone(l *lane) {
	head := l.queue[0]
	f.Log.Error("event was given up: it waited until it was no longer stored", "feed", f.Name,
		"sequence", head.delivery.Sequence(), "event", head.delivery.Key(), "attempts", l.attempt)
	f.Stats.dead.Add(1)
	f.Stats.failed(ErrGone.Error())
	f.ack(head.delivery)
	f.next(l)
}
