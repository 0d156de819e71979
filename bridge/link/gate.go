package link

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
)

const (
	// maxKept and maxKeptBytes bound what a new connection carries before the
	// switch. While a gate is full, its connection is not read.
	maxKept, maxKeptBytes = 10_000, 16 << 20
	// late is how long after the switch what the old connection has carried may
	// still come over the new one.
	late = 5 * time.Second
)

// gate stands between a connection and Options.Frame. That of a first
// connection is open. That of one that is to take its place keeps the frames
// until release; then drain gives them, and when it has, the gate is open.
type gate struct {
	give func(context.Context, connectors.Frame) error

	mu      sync.Mutex
	state   gateState
	kept    []kept
	bytes   int           // of what is kept
	full    chan struct{} // closed when it was full once
	room    chan struct{} // gets one when something was taken out
	drained chan struct{} // closed when drain is done
	// expected are frames that have been given already, and until when. They
	// fall out.
	expected map[digest]int
	until    time.Time

	record record
}

type gateState int

const (
	open     gateState = iota // frames are given
	keeping                   // frames are kept
	draining                  // frames are kept, and given by drain
	left                      // the connection ended before release
)

// kept is a frame with its digest, if it is compared.
type kept struct {
	connectors.Frame
	digest digest
}

func newGate(s gateState, give func(context.Context, connectors.Frame) error) *gate {
	return &gate{
		give: give, state: s,
		full: make(chan struct{}), room: make(chan struct{}, 1), drained: make(chan struct{}),
	}
}

// take takes the connection's next frame. It returns when that was given or is
// kept, or when over is closed: then there is nobody to keep it for.
func (g *gate) take(ctx context.Context, over <-chan struct{}, f connectors.Frame) error {
	g.mu.Lock()
	for g.state != open && g.isFull() {
		g.mu.Unlock()
		select {
		case <-g.room:
		case <-over:
			return nil
		}
		g.mu.Lock()
	}
	k := kept{Frame: f}
	if compared(f) && (g.state != open || g.record.on || g.expected != nil) {
		k.digest = sha256.Sum256(f.Raw)
		g.record.add(k.digest)
		if g.isExpected(k.digest) {
			g.mu.Unlock()
			return nil
		}
	}
	if g.state == open {
		g.mu.Unlock()
		return g.give(ctx, f)
	}
	g.kept = append(g.kept, k)
	g.bytes += len(f.Raw)
	if g.isFull() && !closed(g.full) {
		close(g.full)
	}
	g.mu.Unlock()
	return nil
}

func (g *gate) isFull() bool { return len(g.kept) >= maxKept || g.bytes >= maxKeptBytes }

// isExpected reports whether the frame has been given already.
func (g *gate) isExpected(d digest) bool {
	if g.expected == nil {
		return false
	}
	if len(g.expected) == 0 || time.Now().After(g.until) {
		g.expected = nil
		return false
	}
	return dropOne(g.expected, d)
}

// finish says that the connection has ended. It returns when what was read is
// given, or never will be.
func (g *gate) finish(ctx context.Context) {
	g.mu.Lock()
	state := g.state
	if state == keeping {
		g.state = left
	}
	g.mu.Unlock()
	if state != draining {
		return
	}
	select {
	case <-g.drained:
	case <-ctx.Done():
	}
}

// first returns the first frame that is compared, if one came.
func (g *gate) first() (digest, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range g.kept {
		if compared(k.Frame) {
			return k.digest, true
		}
	}
	return digest{}, false
}

// release has what is kept given by drain, which the caller then calls, without
// what the connection before has carried. What that did carry and this one
// did not yet is left out when it comes. It returns how many fell out; ok is
// false, and nothing is given, when the connection has ended meanwhile.
func (g *gate) release(carried []digest) (dropped int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != keeping {
		return 0, false
	}
	var own []digest
	for _, k := range g.kept {
		if compared(k.Frame) {
			own = append(own, k.digest)
		}
	}
	both := map[digest]int{}
	for _, d := range carried[since(carried, own):] {
		both[d]++
	}
	rest := g.kept[:0]
	for _, k := range g.kept {
		if compared(k.Frame) && dropOne(both, k.digest) {
			g.bytes -= len(k.Raw)
			dropped++
			continue
		}
		rest = append(rest, k)
	}
	clear(g.kept[len(rest):])
	g.record = record{}
	g.kept, g.expected, g.until = rest, both, time.Now().Add(late)
	g.state = draining
	g.makeRoom()
	return dropped, true
}

// drain gives what is kept until nothing is, and opens the gate.
func (g *gate) drain(ctx context.Context) error {
	for {
		g.mu.Lock()
		if len(g.kept) == 0 {
			g.state, g.kept = open, nil
			close(g.drained)
			g.makeRoom()
			g.mu.Unlock()
			return nil
		}
		next := g.kept[0]
		g.kept[0] = kept{}
		g.kept = g.kept[1:]
		g.bytes -= len(next.Raw)
		g.makeRoom()
		g.mu.Unlock()
		if err := g.give(ctx, next.Frame); err != nil {
			return err
		}
	}
}

func (g *gate) makeRoom() {
	select {
	case g.room <- struct{}{}:
	default:
	}
}

// recorded, unless on is false, starts the record anew.
func (g *gate) recorded(on bool) (before []digest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before = g.record.carried
	g.record = record{on: on}
	return before
}

// carries returns what is closed when the frame has come since the record
// began.
func (g *gate) carries(d digest) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.record.await(d)
}
