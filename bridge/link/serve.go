package link

import (
	"context"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
)

// serve serves a session, and the connections that take its place, until one
// ends without another, or a command comes.
func (l *Link) serve(ctx context.Context, session connectors.Session) (command, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newConn(ctx, session, newGate(open, l.o.Frame))
	l.connected(c)
	c.start(ctx, l.o.Heartbeat, l.o.HeartbeatTimeout)
	if l.heard() != noCommand {
		c.askNow() // it is of about that moment
	}
	due := newRecycling(l.o.Recycle)
	defer due.timer.Stop()
	var coming replacement
	defer func() {
		open := []*conn{c}
		if s := coming.cancel(); s.conn != nil {
			open = append(open, s.conn)
		}
		for _, c := range open {
			l.lost(c) // nobody writes to what is being closed
			c.close(cancel)
		}
	}()
	for ended := c.ctx.Done(); ; {
		select {
		case <-ended:
			if coming.done == nil {
				return noCommand, context.Cause(c.ctx)
			}
			ended = nil // the next one comes now, or not at all
		case <-due.timer.C:
			coming = l.replace(ctx, c)
		case s := <-coming.done:
			coming.stop()
			coming = replacement{}
			switch {
			case s.err == nil:
				l.recycled(c, s)
				c, ended = s.conn, s.conn.ctx.Done()
				due.begin()
			case c.ctx.Err() != nil:
				return noCommand, s.err
			default:
				l.o.Log.Warn("no new connection could take the place of the old one, which goes on", "error", s.err, "again_in", due.again().Round(time.Second))
			}
		case asked := <-l.commands:
			if asked != connect {
				return asked, errAsked
			}
		case <-l.woken:
			switch l.heard() {
			case slept:
				return slept, errAsked
			case network:
				c.askNow()
			}
		case <-ctx.Done():
			return noCommand, context.Cause(ctx)
		}
	}
}
