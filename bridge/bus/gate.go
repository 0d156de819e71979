package bus

import (
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// operatorUser is who the operator's own tools connect as, where there is a
// password for them.
const operatorUser = "operator"

// gate says who is let in to the embedded server: the bridge itself with
// everything; each bot to its own account; and the operator's tools with
// everything but the subjects that are the bridge's own to write. Where there
// are no bots and no password, whoever else connects counts as the operator.
type gate struct {
	user, key string
	subjects  subjects
	operator  func() (secret.Text, error) // nil: no password
	bots      map[string]guarded          // complete before anybody is admitted
	welcome   func(Bot)

	// admitted and ended are closed when the others are let in, and when nobody
	// is any more.
	admitted, ended chan struct{}
	admitting       sync.Once
	ending          sync.Once
}

// guarded is a bot's account and what leads into it.
type guarded struct {
	Bot
	account *server.Account
	// services are the subjects in the bridge's account that it reaches.
	services []string
}

func newGate(e *embedded) *gate {
	return &gate{
		user: e.user, key: e.key, subjects: e.subjects, operator: e.operator, bots: map[string]guarded{},
		welcome: e.welcome, admitted: make(chan struct{}), ended: make(chan struct{}),
	}
}

func (g *gate) admit() { g.admitting.Do(func() { close(g.admitted) }) }
func (g *gate) shut()  { g.ending.Do(func() { close(g.ended) }) }

// Check is called by the goroutine of the connection, which may wait here.
func (g *gate) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if o.Username == g.user {
		return o.Password == g.key
	}
	select {
	case <-g.admitted:
	case <-g.ended:
		return false
	}
	if closed(c) {
		return false
	}
	if bot, ok := g.bots[o.Username]; ok {
		return g.checkBot(c, o.Password, bot)
	}
	switch {
	case g.operator != nil:
		if o.Username != operatorUser || !is(g.operator, o.Password) {
			return false
		}
	case len(g.bots) > 0:
		return false
	}
	p := g.subjects.prefix
	c.RegisterUser(&server.User{Username: operatorUser, Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{
			p + ".event.>", p + ".live.>", p + ".queue.>", p + ".ledger.>", p + ".state.>", p + ".dead.>", p + ".again.>", p + ".quarantine.>",
			p + ".bot.>", "$KV." + p + "-plugins.>",
		}},
	}})
	return true
}

func (g *gate) checkBot(c server.ClientAuthentication, password string, bot guarded) bool {
	if !is(bot.Password, password) {
		return false
	}
	switch n := bot.account.NumLocalConnections(); {
	case n >= botConnections:
		return false
	case n == 0:
		g.welcome(bot.Bot)
	}
	if closed(c) {
		return false
	}
	c.RegisterUser(&server.User{Username: bot.Name, Account: bot.account})
	return true
}

// closed reports whether the connection is gone: the server would count one
// that is let in then for ever.
func closed(c server.ClientAuthentication) bool { return c.RemoteAddress() == nil }

// connections is how many a bot has.
func (e *embedded) connections(bot string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.gate.admitted: // the table is complete
	default:
		return 0
	}
	if b, ok := e.gate.bots[bot]; ok {
		return b.account.NumLocalConnections()
	}
	return 0
}
