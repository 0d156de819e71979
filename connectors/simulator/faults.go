package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// FaultName names a fault.
type FaultName string

// The faults; the package comment says what each does.
const (
	Drop      FaultName = "drop"
	HalfOpen  FaultName = "half-open"
	Restart   FaultName = "restart"
	Refuse    FaultName = "refuse"
	Malformed FaultName = "malformed"
	Burst     FaultName = "burst"
	Deaf      FaultName = "deaf"
	Slow      FaultName = "slow"
	Duplicate FaultName = "duplicate"
	NoPong    FaultName = "no-pong"
	Reorder   FaultName = "reorder"
	Lossy     FaultName = "lossy"
	RestDown  FaultName = "rest-down"
	Busy      FaultName = "busy"
	Skew      FaultName = "skew"
)

// Fault is one fault on one account, with its parameters. A parameter that is
// zero has the fault's default; one that the fault does not take is an error.
type Fault struct {
	// Account is the id of the account that it acts on.
	Account string
	// Name says which fault.
	Name FaultName
	// Duration is how long it stays in force; zero: until it is cleared, for
	// restart 2s.
	Duration time.Duration
	// Delay is what slow waits before each frame. Zero: 100ms.
	Delay time.Duration
	// Count is how many messages burst writes, at most 1,000,000 (zero: 1000),
	// and how many frames overtake one that reorder delays (zero: 5).
	Count int
	// Code is what refuse closes accepted sockets with. Zero: it answers 403.
	Code int
	// Kind is the kind of frame that malformed sends. Empty: not-json.
	Kind string
	// Percent is how many of a hundred frames lossy drops, 1 to 100. Zero: 20.
	Percent int
	// Offset is what skew adds to the backend's clock; it may be negative.
	// Zero: an hour.
	Offset time.Duration
}

// rule is what a fault does.
type rule struct {
	name     FaultName
	does     string   // for people
	takes    []string // names of parameters
	defaults Fault
	// strike does what happens at once; nil: nothing.
	strike func(*account, Fault) error
	// door is what handshakes meet while it is in force; nil: no obstacle.
	door func(Fault) door
	// rest is what REST calls meet while it is in force; nil: no obstacle.
	rest func(Fault) rebuff
	// skew is what it adds to the backend's clock while it is in force; nil:
	// nothing.
	skew func(Fault) time.Duration
	// effect adds what it does to a socket while it is in force; nil: nothing.
	effect func(Fault, *effect)
	// present limits the effect to the sockets that were open when it was set.
	present bool
}

// lasts reports whether the fault stays in force.
func (r rule) lasts() bool {
	return r.door != nil || r.effect != nil || r.rest != nil || r.skew != nil
}

// door is what a handshake meets. The zero value lets it in.
type door struct {
	status int                  // answered instead of the handshake
	code   websocket.StatusCode // closed with after it
}

// rebuff is what a REST call gets instead of an answer. The zero value lets it
// in.
type rebuff struct {
	status int
	after  string // the header Retry-After; empty: none
}

// effect is what faults do to one socket. The zero value is nothing.
type effect struct {
	deaf, frozen, twice, noPong bool
	delay                       time.Duration
	loss                        int // in percent
	late                        int // how many frames may overtake one
}

var (
	errDropped   = errors.New("fault: drop")
	errRestarted = errors.New("fault: restart")
	errThawed    = errors.New("fault: half-open ended")
)

// rules are all faults. Where several shut the door, the first one counts.
var rules = []rule{
	{
		name: Drop, does: "closes the open sockets without a close handshake",
		strike: func(a *account, _ Fault) error { a.cut(errDropped); return nil },
	},
	{
		name: HalfOpen, does: "stops reading and writing the open sockets but keeps their TCP connections",
		takes:  []string{"duration"},
		effect: func(_ Fault, e *effect) { e.frozen = true }, present: true,
	},
	{
		name: Restart, does: "closes the sockets, then answers handshakes and REST with 503",
		takes: []string{"duration"}, defaults: Fault{Duration: 2 * time.Second},
		strike: func(a *account, _ Fault) error { a.cut(errRestarted); return nil },
		door:   func(Fault) door { return door{status: http.StatusServiceUnavailable} },
		rest:   func(Fault) rebuff { return rebuff{status: http.StatusServiceUnavailable} },
	},
	{
		name: Refuse, does: "answers handshakes with 403, or accepts them and closes with a code",
		takes: []string{"duration", "code"},
		door: func(f Fault) door {
			if f.Code != 0 {
				return door{code: websocket.StatusCode(f.Code)}
			}
			return door{status: http.StatusForbidden}
		},
	},
	{
		name: Malformed, does: "sends a frame that cannot be read",
		takes: []string{"kind"}, defaults: Fault{Kind: "not-json"},
		strike: func(a *account, f Fault) error { a.inject(malformed[f.Kind]()); return nil },
	},
	{
		name: Burst, does: "writes many messages at once, of which each socket gets 100",
		takes: []string{"count"}, defaults: Fault{Count: 1000},
		strike: func(a *account, f Fault) error { return a.burst(f.Count) },
	},
	{
		name: Deaf, does: "sends no more events to the open sockets; pings and actions are answered",
		takes:  []string{"duration"},
		effect: func(_ Fault, e *effect) { e.deaf = true }, present: true,
	},
	{
		name: Slow, does: "waits before each frame",
		takes: []string{"duration", "delay"}, defaults: Fault{Delay: 100 * time.Millisecond},
		effect: func(f Fault, e *effect) { e.delay = f.Delay },
	},
	{
		name: Duplicate, does: "sends each event twice",
		takes:  []string{"duration"},
		effect: func(_ Fault, e *effect) { e.twice = true },
	},
	{
		name: NoPong, does: "answers no ping, neither of the protocol nor of WebSocket",
		takes:  []string{"duration"},
		effect: func(_ Fault, e *effect) { e.noPong = true },
	},
	{
		name: Reorder, does: "lets frames overtake others, those of one conversation too; edits overtake nothing",
		takes: []string{"duration", "count"}, defaults: Fault{Count: 5},
		effect: func(f Fault, e *effect) { e.late = f.Count },
	},
	{
		name: Lossy, does: "keeps events from the sockets by chance; REST has them",
		takes: []string{"duration", "percent"}, defaults: Fault{Percent: 20},
		effect: func(f Fault, e *effect) { e.loss = f.Percent },
	},
	{
		name: RestDown, does: "answers REST with 503, while the sockets go on",
		takes: []string{"duration"},
		rest:  func(Fault) rebuff { return rebuff{status: http.StatusServiceUnavailable} },
	},
	{
		name: Busy, does: "answers REST with 429 and Retry-After: 1",
		takes: []string{"duration"},
		rest:  func(Fault) rebuff { return rebuff{status: http.StatusTooManyRequests, after: "1"} },
	},
	{
		name: Skew, does: "moves the backend's clock: times in data, and the Date of REST",
		takes: []string{"duration", "offset"}, defaults: Fault{Offset: time.Hour},
		skew: func(f Fault) time.Duration { return f.Offset },
	},
}

// ruleOf finds a fault by its name; the error names all that there are.
func ruleOf(name FaultName) (rule, error) {
	known := make([]string, len(rules))
	for i, r := range rules {
		if r.name == name {
			return r, nil
		}
		known[i] = string(r.name)
	}
	return rule{}, fmt.Errorf("fault %q is not one of %s", name, strings.Join(known, ", "))
}
