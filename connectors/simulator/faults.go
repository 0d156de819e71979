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
	// Count is how many messages burst writes, at most 1,000,000. Zero: 1000.
	Count int
	// Code is what refuse closes accepted sockets with. Zero: it answers 403.
	Code int
	// Kind is the kind of frame that malformed sends. Empty: not-json.
	Kind string
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
	// effect adds what it does to a socket while it is in force; nil: nothing.
	effect func(Fault, *effect)
	// present limits the effect to the sockets that were open when it was set.
	present bool
}

// lasts reports whether the fault stays in force.
func (r rule) lasts() bool { return r.door != nil || r.effect != nil }

// door is what a handshake meets. The zero value lets it in.
type door struct {
	status int                  // answered instead of the handshake
	code   websocket.StatusCode // closed with after it
	down   bool                 // the REST API is away, too
}

// effect is what faults do to one socket. The zero value is nothing.
type effect struct {
	deaf, frozen, twice, noPong bool
	delay                       time.Duration
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
		door:   func(Fault) door { return door{status: http.StatusServiceUnavailable, down: true} },
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
