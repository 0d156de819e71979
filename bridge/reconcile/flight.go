package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"
)

// place is one event in the stream.
type place struct {
	Sequence uint64 `json:"seq"`
	ID       string `json:"id"`
	// At is when it was the latest, by our clock.
	At time.Time `json:"at"`
}

// flight counts what was given to the stream and is not there yet.
type flight struct {
	mu     sync.Mutex
	flying int
	failed bool
	last   place         // the latest that is there
	landed chan struct{} // closed when nothing flies; nil: nobody waits
}

func (f *flight) begin() {
	f.mu.Lock()
	f.flying++
	f.mu.Unlock()
}

func (f *flight) fail() {
	f.mu.Lock()
	f.failed = true
	f.mu.Unlock()
}

var (
	errNotPublished = errors.New("an event could not be given to the stream")
	errFlying       = errors.New("events are still on their way into the stream")
)

// wait returns the latest place once nothing flies.
func (f *flight) wait(ctx context.Context) (place, error) {
	f.mu.Lock()
	var landed chan struct{}
	if f.flying > 0 {
		if f.landed == nil {
			f.landed = make(chan struct{})
		}
		landed = f.landed
	}
	f.mu.Unlock()
	if landed != nil {
		select {
		case <-landed:
		case <-ctx.Done():
			return place{}, errFlying
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		return place{}, errNotPublished
	}
	return f.last, nil
}

// Stored says that an event that was given to Options.Publish is in the stream;
// the sequence 0, that it can never be.
func (r *Reconciler) Stored(id string, sequence uint64) {
	f := &r.flight
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flying--
	if sequence > f.last.Sequence {
		f.last.Sequence, f.last.ID = sequence, id
	}
	if f.flying == 0 && f.landed != nil {
		close(f.landed)
		f.landed = nil
	}
}
