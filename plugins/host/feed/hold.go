package feed

import "time"

// list has the held entries by when the source was told of them, so that a tick
// looks at those alone that are due.
type list struct{ first, last *entry }

func (l *list) add(e *entry) {
	if e.told.IsZero() {
		e.told = time.Now()
	}
	e.earlier, e.further = l.last, nil
	if l.last == nil {
		l.first = e
	} else {
		l.last.further = e
	}
	l.last = e
}

func (l *list) remove(e *entry) {
	if e.earlier == nil {
		l.first = e.further
	} else {
		e.earlier.further = e.further
	}
	if e.further == nil {
		l.last = e.earlier
	} else {
		e.further.earlier = e.earlier
	}
}

const (
	// holdEvery is how often the source hears that a held event is worked on.
	// It must be well under the source's redelivery time.
	holdEvery = 10 * time.Second
	// holdMost is how many it hears of in one tick: nothing else of the feed
	// goes on meanwhile. In holdEvery it is more than can be parked.
	holdMost = 2000
)

// hold tells the source of the events that it has not heard of for a while.
func (f *Feed) hold(now time.Time) {
	for range holdMost {
		e := f.told.first
		if e == nil || now.Sub(e.told) < holdEvery {
			return
		}
		if err := e.delivery.Hold(); err != nil {
			f.Log.Debug("held events could not be told", "feed", f.Name, "error", err)
			return
		}
		f.told.remove(e)
		e.told = now
		f.told.add(e)
	}
}
