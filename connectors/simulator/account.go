package simulator

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// account is one account: its world, its sockets, its faults and its counts.
type account struct {
	id   string
	opts Options
	log  *slog.Logger
	// token and script are set once. The script is for the one goroutine that
	// drives the account's customers.
	token  string
	script *script
	// history is how many messages there were at the start.
	history int

	// turn is held from a change until all sockets have been told of it: it
	// keeps events in order. It is taken before mu.
	turn sync.Mutex
	// chance decides what lossy drops. Who holds turn uses it.
	chance *rand.Rand

	// mu guards what follows. It is never held while anyone waits.
	mu      sync.Mutex
	world   world
	sockets []*socket // replaced as a whole, never written to
	serial  int       // of the last socket
	faults  []*standing
	counts  Stats
	done    []Done
	changed chan struct{} // nil while nobody waits
	closed  bool
}

func newAccount(from Account, opts Options) *account {
	if from.AgentID == 0 {
		from.AgentID = 1
	}
	a := &account{
		id:     from.ID,
		opts:   opts,
		log:    opts.Logger.With("account", from.ID),
		token:  from.Token.Reveal(),
		script: newScript(opts.Seed, from.ID, opts.Conversations),
		chance: rand.New(rand.NewPCG(opts.Seed, 0)),
		world:  world{agent: from.AgentID},
		counts: Stats{Events: map[string]EventCount{}, Actions: map[string]int{}, Refs: map[string]int{}},
	}
	a.remember(opts.History)
	return a
}

// notice is what a change is told as: one event.
type notice struct {
	kind event.Type
	data any
}

// change lets do change the world, and tells every open socket what it
// returns. do runs with mu held. An error of do is returned, and nobody is
// told.
func (a *account) change(do func(w *world) (notice, error)) error {
	a.turn.Lock()
	defer a.turn.Unlock()
	return a.announce(do)
}

// announce is change for a caller that holds turn.
func (a *account) announce(do func(w *world) (notice, error)) error {
	n, sockets, err := a.apply(do)
	if err != nil {
		return err
	}
	a.tell(sockets, frame(n.kind, n.data))
	return nil
}

// apply is announce without the telling: it returns what to tell, and whom.
func (a *account) apply(do func(w *world) (notice, error)) (notice, []*socket, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := do(&a.world)
	if err != nil {
		return notice{}, nil, err
	}
	a.count(n.kind)
	a.touch()
	return n, a.sockets, nil
}

// inject tells every open socket something that is no change.
func (a *account) inject(raw []byte) {
	a.turn.Lock()
	defer a.turn.Unlock()
	a.mu.Lock()
	a.counts.Injected++
	a.touch()
	sockets := a.sockets
	a.mu.Unlock()
	a.tell(sockets, raw)
}

// tell queues one frame for the sockets, whose faults may keep it from them.
// Its caller holds turn.
func (a *account) tell(sockets []*socket, raw []byte) {
	withheld := 0
	for _, s := range sockets {
		if !s.hear(raw, a.chance) {
			withheld++
		}
	}
	a.withhold(withheld)
}

func (a *account) withhold(frames int) {
	if frames == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Withheld += frames
	a.touch()
}

// count counts one event that is about to be broadcast. Its caller holds mu.
func (a *account) count(kind event.Type) {
	c := a.counts.Events[string(kind)]
	c.Total++
	if len(a.sockets) > 0 {
		c.Heard++
	}
	a.counts.Events[string(kind)] = c
}

// errClosed says that the server was closed.
var errClosed = errors.New("simulator is closed")

// join adds a socket, unless the account's door was shut while it shook hands.
func (a *account) join(s *socket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.door() != (door{}) {
		a.counts.Sockets.Refused++
		a.touch()
		return false
	}
	a.serial++
	s.serial = a.serial
	s.crowd.chance = rand.New(rand.NewPCG(a.opts.Seed, uint64(a.serial)))
	a.sockets = append(slices.Clip(slices.Clone(a.sockets)), s)
	a.refresh()
	a.counts.Sockets.Opened++
	a.touch()
	a.log.Debug("socket opened", "socket", s.serial)
	return true
}

// leave takes a socket out and ends it. Only the first call for a socket
// counts.
func (a *account) leave(s *socket, why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.sockets, s)
	if i < 0 {
		return
	}
	a.sockets = slices.Delete(slices.Clone(a.sockets), i, i+1)
	s.end(why)
	a.counts.Sockets.Closed++
	if errors.Is(why, errOverrun) {
		a.counts.Sockets.Overrun++
	}
	a.touch()
	a.log.Debug("socket closed", "socket", s.serial, "reason", why)
}

// cut ends all sockets.
func (a *account) cut(why error) {
	a.mu.Lock()
	sockets := a.sockets
	a.mu.Unlock()
	for _, s := range sockets {
		a.leave(s, why)
	}
}

func (a *account) refused(ctx context.Context, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Sockets.Refused++
	a.touch()
	a.log.DebugContext(ctx, "socket refused", "reason", why)
}

// close ends the account's faults and sockets, and lets no more in.
func (a *account) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.clear("")
	a.cut(errClosed)
}
