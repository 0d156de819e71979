package faults

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// Options say what to measure.
type Options struct {
	// Binary is the path of the switchboard program.
	Binary string
	// Faults are the names of those to strike, see [Names]. None: all.
	Faults []string
	// For is how long there is load, the fault in the middle of it. Zero: 10s.
	For time.Duration
	// Soak, where it is not zero, is how long faults strike at random, one
	// after the other, each for about For, in one row with one comparison at
	// the end.
	Soak time.Duration
	// Settle is how long everything may then take to come right. Zero: 90s.
	Settle time.Duration
	// Seed decides what the load does, and what a soak strikes. Zero: any.
	Seed uint64
	// Events and Actions are how many there are a second. Zero: 200 and 20.
	Events, Actions float64
	// Conversations is how many go on at a time. Zero: 50.
	Conversations int
	// Parallel is how many rows are measured at once. Zero: 1.
	Parallel int
	// Started and Progress, where they are not nil, are called as a row begins
	// and as it ends, one call at a time.
	Started  func(fault string)
	Progress func(Row)
	// Log gets what the bridges of rows that are not ok have logged. Nil:
	// nobody.
	Log io.Writer
}

func (o Options) withDefaults() Options {
	if o.For <= 0 {
		o.For = 10 * time.Second
	}
	if o.Settle <= 0 {
		o.Settle = 90 * time.Second
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()>>11 | 1 // JSON readers keep 53 bits
	}
	if o.Events <= 0 {
		o.Events = 200
	}
	if o.Actions <= 0 {
		o.Actions = 20
	}
	if o.Conversations <= 0 {
		o.Conversations = 50
	}
	o.Parallel = max(o.Parallel, 1)
	return o
}

// Run measures the faults and returns when nothing of them is left. An error
// says that it could not be measured at all: what is wrong with the bridge, or
// with one row, is in the report. When ctx ends, the rows until then are.
func Run(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	report := Report{Seed: o.Seed}
	if _, err := os.Stat(o.Binary); err != nil {
		return report, fmt.Errorf("look for the program to measure: %w", err)
	}
	chosen, err := choose(o.Faults)
	if err != nil {
		return report, err
	}
	if o.Soak > 0 {
		chosen = []fault{soak(chosen, o)}
		o.For, o.Settle = o.Soak, o.Settle+o.Soak/2
	}
	rows := make([]*Row, len(chosen))
	var said sync.Mutex
	say := func(f func()) {
		said.Lock()
		defer said.Unlock()
		f()
	}
	places := make(chan struct{}, o.Parallel)
	var working sync.WaitGroup
	for i, f := range chosen {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		working.Go(func() {
			defer func() { <-places }()
			if o.Started != nil {
				say(func() { o.Started(f.name) })
			}
			row := measure(ctx, f, o)
			if ctx.Err() != nil {
				return // it was cut short: it says nothing
			}
			rows[i] = &row
			if o.Progress != nil {
				say(func() { o.Progress(row) })
			}
		})
	}
	working.Wait()
	for _, row := range rows {
		if row != nil {
			report.Rows = append(report.Rows, *row)
		}
	}
	if ctx.Err() != nil {
		return report, context.Cause(ctx)
	}
	return report, nil
}

// random is a source of its own for each part of each row.
func random(seed uint64, fault, part string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, fault+"/"+part)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// soak is a row of faults at random. Those that need a machine of their own are
// not among them.
func soak(from []fault, o Options) fault {
	var mix []fault
	for _, f := range from {
		if !f.external && f.disk == 0 && !f.noEcho {
			mix = append(mix, f)
		}
	}
	s := fault{name: "soak", does: "faults at random, one after the other"}
	for _, f := range mix {
		s.tolerates = append(s.tolerates, f.tolerates...)
	}
	s.strike = func(ctx context.Context, w *world, d time.Duration) error {
		if len(mix) == 0 {
			return errors.New("none of the chosen faults can be mixed with others")
		}
		chance := random(o.Seed, s.name, "faults")
		for end := time.Now().Add(d); time.Now().Before(end); {
			f := mix[chance.IntN(len(mix))]
			if o.Started != nil {
				o.Started("soak: " + f.name)
			}
			if err := f.strike(ctx, w, min(o.For, time.Until(end))); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if err := w.lift(""); err != nil {
				return err
			}
		}
		return nil
	}
	return s
}
