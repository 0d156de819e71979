package badplugins

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say what to measure.
type Options struct {
	// Binary is the path of the switchboard program.
	Binary string
	// Plugins are the names of the rows, see [Names]. None: all.
	Plugins []string
	// For is how long there is load at least; there is more until the bad
	// plugin has ended as it must. Zero: 8s.
	For time.Duration
	// Patience is how long that may take. Zero: 90s.
	Patience time.Duration
	// Settle is how long the good plugins may take, after the load, for what
	// they have not got yet. Zero: 30s.
	Settle time.Duration
	// Events is how many there are a second. Zero: 50.
	Events float64
	// Conversations is how many go on at a time. Zero: 20.
	Conversations int
	// Late is how late 99 of 100 events may be, and TooLate what none may be.
	// Actions may take three times that until they are confirmed. Zero: 1s and
	// 5s.
	Late, TooLate time.Duration
	// Parallel is how many rows are measured at once. Zero: 1.
	Parallel int
	// Started and Progress, where they are not nil, are called as a row begins
	// and as it ends, one call at a time.
	Started  func(plugin string)
	Progress func(Row)
	// Log gets what the bridges of rows that are not ok have logged. Nil:
	// nobody.
	Log io.Writer

	sum string // of the binary
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.For, 8*time.Second)
	set(&o.Patience, 90*time.Second)
	set(&o.Settle, 30*time.Second)
	set(&o.Late, time.Second)
	set(&o.TooLate, 5*time.Second)
	o.Patience = max(o.Patience, o.For)
	if o.Events <= 0 {
		o.Events = 50
	}
	if o.Conversations <= 0 {
		o.Conversations = 20
	}
	o.Parallel = max(o.Parallel, 1)
	return o
}

// Run measures the rows and returns when nothing of them is left. An error says
// that it could not be measured at all: what is wrong with the bridge, or with
// one row, is in the report. When ctx ends, the rows until then are.
func Run(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	var report Report
	var err error
	// The bridge looks at the file itself, and not at a link to it.
	if o.Binary, err = filepath.EvalSymlinks(o.Binary); err != nil {
		return report, fmt.Errorf("look for the program to measure: %w", err)
	}
	if o.sum, err = checksum(o.Binary); err != nil {
		return report, err
	}
	chosen, err := choose(o.Plugins)
	if err != nil {
		return report, err
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
	for i, p := range chosen {
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
				say(func() { o.Started(p.name) })
			}
			row, log := measure(ctx, p, o)
			if ctx.Err() != nil {
				return // it was cut short: it says nothing
			}
			rows[i] = &row
			say(func() {
				if o.Log != nil && !row.OK() {
					fmt.Fprintf(o.Log, "--- the bridge's log, bad plugin %s\n%s", row.Plugin, log)
				}
				if o.Progress != nil {
					o.Progress(row)
				}
			})
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

func checksum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read the program to measure: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read the program to measure: %w", err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// containsAll reports whether every one of the parts is in the text.
func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
