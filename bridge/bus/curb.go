package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// maxOpenRequests is how many requests of a bot may wait for an answer: the
	// server remembers each of them in this process, about half a kilobyte.
	maxOpenRequests = 100_000
	// curbEvery is how often they are counted.
	curbEvery = time.Second
)

// curb cuts off, until ctx ends, a bot that asks and asks: the server forgets
// what it asked when its connections are gone.
func (b *Bus) curb(ctx context.Context) error {
	tick := time.NewTicker(curbEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for name, open := range b.embedded.curb() {
			b.log.Error("bot cut off: too many of its requests wait for an answer; it may connect again", "bot", name, "requests", open)
		}
	}
}

// curb cuts off who has too many open requests, and says how many each had.
func (e *embedded) curb() map[string]int {
	e.mu.Lock()
	s, g := e.server, e.gate
	e.mu.Unlock()
	if s == nil || s.GlobalAccount().NumPendingAllResponses() <= e.maxOpen {
		return nil // the bridge has none of its own
	}
	cut := map[string]int{}
	for name, bot := range g.bots {
		open := 0
		for _, subject := range bot.services {
			open += s.GlobalAccount().NumPendingResponses(subject)
		}
		if open > e.maxOpen {
			cut[name] = open
			e.disconnect(s, bot)
		}
	}
	return cut
}

func (e *embedded) disconnect(s *server.Server, bot guarded) {
	list, err := s.Connz(&server.ConnzOptions{Account: bot.account.GetName(), Limit: botConnections})
	if err != nil {
		e.log.Errorf("find the connections of bot %s: %v", bot.Name, err)
		return
	}
	for _, c := range list.Conns {
		_ = s.DisconnectClientByID(c.Cid) // it may have gone
	}
}
