package host

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
)

const (
	// keptRecords and keptBytes bound what is kept of each plugin's log.
	keptRecords, keptBytes = 1000, 1 << 20
)

// ring keeps the latest records of a plugin: what it printed, and what the host
// has to say of it. Each is a line of JSON, as slog's handler writes it.
type ring struct {
	mu      sync.Mutex
	lines   [][]byte
	bytes   int
	total   uint64        // how many there were
	changed chan struct{} // closed at the next one; nil: nobody waits
}

func (r *ring) handler() slog.Handler {
	return slog.NewJSONHandler(r, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration { // which JSON has as a number of nanoseconds
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}})
}

// Write takes one record: slog writes each in one piece.
func (r *ring) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, slices.Clone(line))
	r.bytes += len(line)
	r.total++
	drop := 0
	for ; len(r.lines)-drop > keptRecords || r.bytes > keptBytes && len(r.lines)-drop > 1; drop++ {
		r.bytes -= len(r.lines[drop])
	}
	r.lines = slices.Delete(r.lines, 0, drop)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return len(line), nil
}

// after returns the records that came after the first n, as far as they are
// kept, and how many there were by now. changed is closed when there is more.
func (r *ring) after(n uint64) (lines [][]byte, total uint64, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	fresh := min(r.total-min(n, r.total), uint64(len(r.lines)))
	return slices.Clone(r.lines[uint64(len(r.lines))-fresh:]), r.total, r.changed
}

// Logs calls fn with the last n records of a plugin's log, the oldest first:
// what it printed and what the host says of it, each as slog writes it in JSON.
// With follow it goes on with those that come, until ctx ends, fn fails, or the
// plugin is no more. What comes faster than fn takes it is left out, the oldest
// first.
func (h *Host) Logs(ctx context.Context, plugin string, n int, follow bool, fn func(json.RawMessage) error) error {
	p, err := h.find(plugin)
	if err != nil {
		return err
	}
	_, total, _ := p.logs.after(0)
	seen := total - min(total, uint64(max(0, n)))
	for {
		lines, total, changed := p.logs.after(seen)
		seen = total
		for _, line := range lines {
			if err := fn(line); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-changed:
		case <-p.over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
