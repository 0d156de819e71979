package host

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Stats are the counts of one plugin since the host began, over restarts of
// the plugin. All of it is safe for concurrent use.
type Stats struct {
	// Accepted and Refused count its actions.
	Accepted, Refused atomic.Uint64
	// Live counts typing events passed on, LiveDropped those that it was too
	// slow for.
	Live, LiveDropped atomic.Uint64
	// Timers is how many timers it has.
	Timers atomic.Int64

	counters counters
	// refusal is why an action of it was refused lately.
	refusal atomic.Pointer[string]

	mu       sync.Mutex
	state    State
	reason   string
	since    time.Time
	starts   int
	pid      int
	manifest *pluginv1.Manifest
	// unhealthy is what it says keeps it from its work; sound is since when
	// nothing does, zero: something does; longest is the longest such time of
	// this process, before sound.
	unhealthy string
	sound     time.Time
	longest   time.Duration
	rejected  string
	ends      []Ended
	feeds     map[string]*feed.Stats
	order     []string
}

// State is where a plugin stands.
type State string

// The states of a plugin.
const (
	// Starting: its process is started, described and configured.
	Starting State = "starting"
	// Running: it is connected and fed.
	Running State = "running"
	// Waiting: it ended, and is started again after a while.
	Waiting State = "waiting"
	// Refused: it or its configuration is not acceptable; it is not started
	// again before the operator says so, or gives it another configuration.
	Refused State = "refused"
	// CrashLooping: it crashed too often, and is set aside like one that is
	// refused.
	CrashLooping State = "crashlooping"
	// Paused: the operator has set it aside, until it is resumed or the host
	// begins anew.
	Paused State = "paused"
	// Stopped: the host has stopped it.
	Stopped State = "stopped"
)

// Status is a snapshot of a plugin.
type Status struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Reason says why it is in that state; empty where there is nothing to say.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Unhealthy is what the plugin itself says keeps it from its work.
	Unhealthy string `json:"unhealthy,omitempty"`
	// Rejected says why the latest configuration of it is not in force: the one
	// before is.
	Rejected string `json:"rejected,omitempty"`
	// PID is its process's; 0: it has none.
	PID int `json:"pid,omitempty"`
	// Restarts is how often it was started again.
	Restarts int `json:"restarts"`
	// Version is what its manifest says.
	Version     string        `json:"version,omitempty"`
	Feeds       []feed.Status `json:"feeds"`
	Accepted    uint64        `json:"actions_accepted"`
	Refused     uint64        `json:"actions_refused"`
	Live        uint64        `json:"live"`
	LiveDropped uint64        `json:"live_dropped"`
	// Echoes counts events of its own making that were not delivered to it.
	Echoes uint64 `json:"echoes"`
	// LastRefusal is why an action was refused lately.
	LastRefusal string `json:"last_refusal,omitempty"`
	// Timers is how many timers it has set.
	Timers int64 `json:"timers"`
	// Counters are what it counts itself, CountersDropped how often it told of
	// one that it may not have.
	Counters        []Counter `json:"counters,omitempty"`
	CountersDropped uint64    `json:"counters_dropped,omitempty"`
}

// refused counts an action that was not taken.
func (s *Stats) refused(err error) {
	s.Refused.Add(1)
	reason := feed.Clip(err.Error())
	s.refusal.Store(&reason)
}

func (s *Stats) count(list []*pluginv1.Counter) { s.counters.add(list) }

func (s *Stats) feed(name string) *feed.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds == nil {
		s.feeds = map[string]*feed.Stats{}
	}
	f := s.feeds[name]
	if f == nil {
		f = &feed.Stats{}
		s.feeds[name] = f
		s.order = append(s.order, name)
	}
	return f
}

func (s *Stats) described(m *pluginv1.Manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifest = m
}

func (s *Stats) set(state State, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.reason, s.since = state, reason, time.Now()
	if state == Starting {
		s.starts++
		s.longest = 0
	}
	if state != Running {
		s.pid = 0
		s.stopClock()
		s.unhealthy = ""
	} else {
		s.sound = s.since
	}
}

func (s *Stats) started(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid = pid
}

// Snapshot is how the plugin of that name stands now. Its feeds are in the
// order in which they were declared.
func (s *Stats) Snapshot(name string) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Name: name, State: s.state, Reason: s.reason, Since: s.since, Unhealthy: s.unhealthy, Rejected: s.rejected, PID: s.pid,
		Restarts: max(0, s.starts-1), Version: s.manifest.GetVersion(),
		Accepted: s.Accepted.Load(), Refused: s.Refused.Load(),
		Live: s.Live.Load(), LiveDropped: s.LiveDropped.Load(),
		Timers: s.Timers.Load(),
	}
	st.Counters, st.CountersDropped = s.counters.snapshot()
	if r := s.refusal.Load(); r != nil {
		st.LastRefusal = *r
	}
	for _, name := range s.order {
		f := s.feeds[name]
		st.Feeds = append(st.Feeds, f.Snapshot(name))
		st.Echoes += f.Echoes()
	}
	return st
}
