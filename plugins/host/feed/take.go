package feed

import (
	"context"
	"fmt"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// pull brings deliveries until ctx ends.
func (f *Feed) pull(ctx context.Context) error {
	for {
		d, err := f.Source.Next(ctx)
		if err != nil {
			return fmt.Errorf("feed %s: %w", f.Name, err)
		}
		select {
		case f.pulled <- d:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// request asks for as many as there is room for, once it is worth while.
func (f *Feed) request() {
	room := min(f.Held-f.loaded, f.Parked-len(f.held)) - f.requested
	if room > 0 && room >= f.Held/4 {
		f.requested += room
		f.Source.Request(room)
	}
}

// takeMore takes what is there beside the first; it waits for nothing.
func (f *Feed) takeMore() {
	for range cap(f.pulled) {
		select {
		case d := <-f.pulled:
			f.take(d)
		default:
			return
		}
	}
}

func (f *Feed) take(d Delivery) {
	f.requested--
	if have := f.held[d.Sequence()]; have != nil {
		have.delivery = d // it came again while we had it: this one is to be acknowledged
		if have.event == nil {
			d.Park()
		}
		return
	}
	e := d.Event()
	if e.By == f.Plugin && !f.OwnEchoes && !isResult(e.Type) {
		f.Stats.echoes.Add(1)
		f.ack(d)
		return
	}
	taken := &entry{delivery: d, event: &e}
	if f.Filter != nil {
		switch wanted, err := f.Filter(e); {
		case err != nil:
			taken.wrong = Clip(err.Error())
		case !wanted:
			f.Stats.filtered.Add(1)
			f.ack(d)
			return
		}
	}
	key := f.lane(d, e)
	l := f.lanes[key]
	if l == nil {
		l = &lane{key: key}
		f.lanes[key] = l
	}
	f.held[d.Sequence()] = taken
	f.told.add(taken)
	f.loaded++
	l.queue = append(l.queue, taken)
	if len(l.queue) == 1 {
		f.ready = append(f.ready, l)
	}
	if l.waiting || len(l.queue) > laneLoaded {
		f.park(taken)
	}
	f.Stats.held.Store(int64(len(f.held)))
}

// lane is the key of the queue that the event stands in.
func (f *Feed) lane(d Delivery, e event.Event) laneKey {
	if f.Unordered {
		return laneKey{sequence: d.Sequence()}
	}
	return laneKey{account: e.Account, conversation: e.Conversation}
}

// park lets go of the event of one that waits for long.
func (f *Feed) park(e *entry) {
	if e.event != nil {
		e.event = nil
		e.delivery.Park()
		f.loaded--
	}
}

// drop forgets one that is settled.
func (f *Feed) drop(e *entry) {
	delete(f.held, e.delivery.Sequence())
	f.told.remove(e)
	if e.event != nil {
		f.loaded--
	}
	f.Stats.held.Store(int64(len(f.held)))
}

// isResult reports whether the event tells what became of an action: that is
// for its sender above all.
func isResult(t event.Type) bool { return event.Pattern("action.*").Matches(t) }

// next takes the settled head off its lane.
func (f *Feed) next(l *lane) {
	f.drop(l.queue[0])
	l.queue[0] = nil
	l.queue, l.attempt = l.queue[1:], 0
	if len(l.queue) == 0 {
		delete(f.lanes, l.key)
	} else {
		f.ready = append(f.ready, l)
	}
}
