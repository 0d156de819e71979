package host

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// pingEvery is how often a plugin is asked for a sign of life, and how long
	// it has for one.
	pingEvery = 10 * time.Second
	// maxUnhealthy bounds what a plugin says of its health, in bytes.
	maxUnhealthy = 1024
)

// pulse is what is known of the plugin's life at the other end of a line.
type pulse struct {
	pings chan uint64 // to the line's writer
	// messages counts what was read. Whatever it is, it is a sign of life.
	messages atomic.Uint64
	// listening is since when the line's reader waits for the plugin; 0: it
	// does not, as it is busy with a message. What the plugin may have said
	// meanwhile nobody has read.
	listening atomic.Int64
	began     time.Time // what listening counts from
}

func newPulse() *pulse { return &pulse{pings: make(chan uint64, 1), began: time.Now()} }

func (p *pulse) listen() { p.listening.Store(max(1, int64(time.Since(p.began)))) }

func (p *pulse) heard() {
	p.listening.Store(0)
	p.messages.Add(1)
}

// watch pings until ctx ends or the plugin does not answer. One that does not
// even take the ping, as its end of the line is full, is no better.
func (p *pulse) watch(ctx context.Context, plugin string) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	last, asked := time.Now(), false
	var before uint64
	for number := uint64(1); ; number++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now, heard := time.Now(), p.messages.Load()
		// A tick that comes late is about us: we did not run, and did not read.
		late := now.Sub(last) > pingEvery*3/2
		since := p.listening.Load()
		if asked && heard == before && !late && since != 0 && now.Sub(p.began)-time.Duration(since) >= pingEvery {
			return fmt.Errorf("plugin %s hangs: it has not answered a ping for %s", plugin, pingEvery)
		}
		last, before, asked = now, heard, true
		select {
		case p.pings <- number:
		default: // the one before is not yet written
		}
	}
}

// brief bounds a text of a plugin's.
func brief(text string) string {
	if len(text) <= maxUnhealthy {
		return text
	}
	return strings.ToValidUTF8(text[:maxUnhealthy], "") + "…"
}
