package faults

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

// fault is one row of the table.
type fault struct {
	name, does string
	// external: NATS is a server of its own, not one inside the bridge.
	external bool
	// disk is the size of a file system of the bridge's own for its data, in
	// bytes. Zero: it has none.
	disk int64
	// noEcho: the backend does not echo client_ref.
	noEcho bool
	// tolerates are columns that what the fault does makes bad by itself.
	tolerates []string
	// strike breaks something and mends it again, within about d, while the
	// load goes on. What it leaves to the backend's faults is lifted later.
	strike func(ctx context.Context, w *world, d time.Duration) error
}

// table are all faults, in the order in which they are shown.
var table = []fault{
	{name: "none", does: "nothing breaks", strike: func(ctx context.Context, _ *world, d time.Duration) error {
		return pass(ctx, d)
	}},
	{name: "dropped", does: "the socket is dropped, again and again", strike: dropped},
	{name: "half-open", does: "the backend stops reading and writing, but keeps the TCP connection", strike: lasting(simulator.Fault{Name: simulator.HalfOpen})},
	{name: "deaf", does: "the socket gets no more events; pings are answered", strike: lasting(simulator.Fault{Name: simulator.Deaf})},
	{name: "burst", does: "bursts of which a healthy socket gets a part", strike: bursts},
	{name: "malformed", does: "frames that cannot be read", strike: malformed},
	{name: "duplicated", does: "each event comes twice", strike: lasting(simulator.Fault{Name: simulator.Duplicate})},
	// Nobody tells the bridge the order that the backend had in mind.
	{
		name: "reordered", does: "events come out of order", tolerates: []string{"live order"},
		strike: lasting(simulator.Fault{Name: simulator.Reorder}),
	},
	{name: "refused", does: "the token is refused, then mended", strike: refused},
	{name: "restarted", does: "the backend restarts", strike: func(ctx context.Context, w *world, d time.Duration) error {
		return w.during(ctx, d, simulator.Fault{Name: simulator.Restart, Duration: d})
	}},
	{name: "slow", does: "the backend waits before each frame", strike: lasting(simulator.Fault{Name: simulator.Slow, Delay: 20 * time.Millisecond})},
	{name: "rest-down", does: "REST is down, and the socket drops", strike: withDrops(simulator.Fault{Name: simulator.RestDown})},
	{name: "rest-busy", does: "REST answers 429, and the socket drops", strike: withDrops(simulator.Fault{Name: simulator.Busy})},
	{name: "nats-restarted", does: "the external NATS server stops and comes back", external: true, strike: natsRestarted},
	{name: "killed", does: "the bridge is killed with -9, twice in a row", strike: killed},
	{name: "killed-no-echo", does: "the same, at a backend that does not echo client_ref", noEcho: true, strike: killed},
	{name: "killed-in-flush", does: "the bridge is killed with -9 while it sends what had piled up", strike: killedInFlush},
	{name: "terminated", does: "the bridge gets SIGTERM and is started again", strike: terminated},
	{name: "clock", does: "the backend's clock is an hour back, and forth again", strike: lasting(simulator.Fault{Name: simulator.Skew, Offset: -time.Hour})},
	{name: "disk-full", does: "the disk is full, then has room", disk: 96 << 20, strike: diskFull},
}

// Names are the faults that there are, in order.
func Names() []string {
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.name
	}
	return names
}

// Does says what a fault is, in a few words; "" for one that is not known.
func Does(name string) string {
	for _, f := range table {
		if f.name == name {
			return f.does
		}
	}
	return ""
}

// choose returns the faults of those names; without names, all.
func choose(names []string) ([]fault, error) {
	if len(names) == 0 {
		return table, nil
	}
	var chosen []fault
	for _, name := range names {
		i := slices.IndexFunc(table, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("fault %q is not one of %s", name, strings.Join(Names(), ", "))
		}
		chosen = append(chosen, table[i])
	}
	return chosen, nil
}

// pass lets the load go on for a while.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lasting is a fault of the backend that is in force for the whole time.
func lasting(f simulator.Fault) func(context.Context, *world, time.Duration) error {
	return func(ctx context.Context, w *world, d time.Duration) error { return w.during(ctx, d, f) }
}

func dropped(ctx context.Context, w *world, d time.Duration) error {
	const times = 4
	for range times {
		if err := w.set(simulator.Fault{Name: simulator.Drop}); err != nil {
			return err
		}
		if err := pass(ctx, d/times); err != nil {
			return err
		}
	}
	return nil
}

// withDrops drops the socket twice while the fault is in force.
func withDrops(f simulator.Fault) func(context.Context, *world, time.Duration) error {
	return func(ctx context.Context, w *world, d time.Duration) error {
		if err := w.set(f); err != nil {
			return err
		}
		for range 2 {
			if err := w.set(simulator.Fault{Name: simulator.Drop}); err != nil {
				return err
			}
			if err := pass(ctx, d/2); err != nil {
				return err
			}
		}
		return w.lift(f.Name)
	}
}

func bursts(ctx context.Context, w *world, d time.Duration) error {
	if err := w.set(simulator.Fault{Name: simulator.Lossy}); err != nil {
		return err
	}
	for range 2 {
		if err := w.set(simulator.Fault{Name: simulator.Burst, Count: 500}); err != nil {
			return err
		}
		if err := pass(ctx, d/2); err != nil {
			return err
		}
	}
	return w.lift(simulator.Lossy)
}

func malformed(ctx context.Context, w *world, d time.Duration) error {
	kinds := []string{"not-json", "no-type", "array", "invalid-utf8", "too-big"}
	for _, kind := range kinds {
		if err := w.set(simulator.Fault{Name: simulator.Malformed, Kind: kind}); err != nil {
			return err
		}
		if err := pass(ctx, d/time.Duration(len(kinds))); err != nil {
			return err
		}
	}
	return nil
}

// refused closes the door on the handshake first, then after it.
func refused(ctx context.Context, w *world, d time.Duration) error {
	for _, code := range []int{0, 4401} {
		if err := w.set(simulator.Fault{Name: simulator.Refuse, Code: code}); err != nil {
			return err
		}
		if err := w.during(ctx, d/2, simulator.Fault{Name: simulator.Drop}); err != nil {
			return err
		}
	}
	return w.lift(simulator.Refuse)
}

func natsRestarted(ctx context.Context, w *world, d time.Duration) error {
	w.nats.stop()
	if err := pass(ctx, d); err != nil {
		return err
	}
	return w.nats.start()
}

// killed kills the second time as soon as the bridge is connected again, in the
// middle of what it fetches then.
func killed(ctx context.Context, w *world, d time.Duration) error {
	for range 2 {
		before := w.opened()
		if err := w.restart(ctx, syscall.SIGKILL); err != nil {
			return err
		}
		if err := w.connected(ctx, before); err != nil {
			return err
		}
	}
	return pass(ctx, d/2)
}

func killedInFlush(ctx context.Context, w *world, d time.Duration) error {
	// A backend that is away: unlike a refused token it is tried again soon.
	if err := w.during(ctx, d/2, simulator.Fault{Name: simulator.Restart, Duration: d}); err != nil {
		return err
	}
	before := w.done()
	if err := w.lift(simulator.Restart); err != nil {
		return err
	}
	if err := w.await(ctx, "a flush", func(s simulator.Stats) bool { return done(s) >= before+5 }); err != nil {
		return err
	}
	if err := w.restart(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	return pass(ctx, d/2)
}

func terminated(ctx context.Context, w *world, d time.Duration) error {
	before := w.opened()
	if err := w.restart(ctx, syscall.SIGTERM); err != nil {
		return err
	}
	if err := w.connected(ctx, before); err != nil {
		return err
	}
	return pass(ctx, d/2)
}

func diskFull(ctx context.Context, w *world, d time.Duration) error {
	filler, err := fill(w.dataDir())
	if err != nil {
		return err
	}
	if err := pass(ctx, d); err != nil {
		return err
	}
	if err := os.Remove(filler); err != nil {
		return fmt.Errorf("make room on the disk: %w", err)
	}
	return nil
}
