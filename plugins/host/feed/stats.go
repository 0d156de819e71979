package feed

import (
	"sync/atomic"
	"time"
)

// Stats are the counts of one feed, over restarts of its plugin. They are safe
// for concurrent use.
type Stats struct {
	delivered, acked, retried, dead, echoes, filtered atomic.Uint64
	held, paused                                      atomic.Int64
	reason                                            atomic.Pointer[string]
}

// Status is a snapshot of a feed.
type Status struct {
	Name string `json:"name"`
	// Delivered counts deliveries, repeated ones among them; Acked the events
	// that the plugin is done with; Retried the further attempts; Dead the
	// dead letters.
	Delivered uint64 `json:"delivered"`
	Acked     uint64 `json:"acked"`
	Retried   uint64 `json:"retried"`
	Dead      uint64 `json:"dead"`
	// Filtered counts the events that its filter kept out.
	Filtered uint64 `json:"filtered"`
	// Held is how many events wait in the host or are inside the plugin.
	Held int64 `json:"held"`
	// PausedUntil is when a pause ends; nil: not paused.
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	// LastError is the latest reason of a retry, a pause or a dead letter.
	LastError string `json:"last_error,omitempty"`
}

// Echoes counts the events of the plugin's own making that were not delivered
// to it.
func (s *Stats) Echoes() uint64 { return s.echoes.Load() }

// Snapshot is how the feed of that name stands now.
func (s *Stats) Snapshot(name string) Status {
	st := Status{
		Name: name, Delivered: s.delivered.Load(), Acked: s.acked.Load(), Retried: s.retried.Load(),
		Dead: s.dead.Load(), Held: s.held.Load(), Filtered: s.filtered.Load(),
	}
	if ms := s.paused.Load(); ms > 0 {
		until := time.UnixMilli(ms)
		st.PausedUntil = &until
	}
	if r := s.reason.Load(); r != nil {
		st.LastError = *r
	}
	return st
}

func (s *Stats) failed(reason string) { s.reason.Store(&reason) }
