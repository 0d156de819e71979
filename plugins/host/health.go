package host

import (
	"slices"
	"time"
)

// Ended is one end of a plugin's process.
type Ended struct {
	At time.Time `json:"at"`
	// PID was the process's; 0: it was not even started.
	PID int `json:"pid,omitempty"`
	// Reason is why it ended.
	Reason string `json:"reason"`
}

// keptEnds is how many ends of a plugin are remembered.
const keptEnds = 10

// health takes what the plugin says of itself; empty: it does its work.
func (s *Stats) health(unhealthy string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != Running:
		return
	case unhealthy != "":
		s.stopClock()
	case s.sound.IsZero():
		s.sound = time.Now()
	}
	s.unhealthy = unhealthy
}

// stopClock ends a time of health; the caller holds mu.
func (s *Stats) stopClock() {
	if !s.sound.IsZero() {
		s.longest = max(s.longest, time.Since(s.sound))
		s.sound = time.Time{}
	}
}

// over takes note of the end of a process, and returns the longest time for
// which it was in good health.
func (s *Stats) over(reason string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopClock()
	s.ends = append(s.ends, Ended{At: time.Now(), PID: s.pid, Reason: reason})
	if len(s.ends) > keptEnds {
		s.ends = slices.Delete(s.ends, 0, len(s.ends)-keptEnds)
	}
	return s.longest
}

// reject takes note of why a new configuration is not in force; empty: it is.
func (s *Stats) reject(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = reason
}
