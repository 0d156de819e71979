package bus

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Bot is a program that stands at NATS itself, without the plugin host: in a
// NATS account of its own, into which nothing comes but what it was granted.
type Bot struct {
	// Name is its user, its consumer and the sender of its actions; [a-z0-9-]+.
	Name string
	// Accounts and Events say which events it has; none: none.
	Accounts []string
	Events   []event.Pattern
	// Window is how many events may be unacknowledged at once.
	Window int
	// Password lets it in to the embedded server; it is asked at each
	// connection. An external server has its own.
	Password func() (secret.Text, error)
}

const (
	// botConnections is how many connections one bot may have.
	botConnections = 64
	// joinTimeout bounds what is done for a bot before it is let in.
	joinTimeout = time.Second
	// answerLife is for how long after a request, or the last answer to it, the
	// server knows where answers go. A pull lasts no longer than that.
	answerLife = time.Minute
	// What of a bot's actions may wait until they are looked at.
	botActions, botActionBytes = 4096, 32 * mib
)

// ensureBots makes each bot's consumer, which has its name. A bot may use it,
// and neither make one nor change it: what a consumer gives follows its filter
// and not the permissions of who pulls.
func (b *Bus) ensureBots(ctx context.Context, bots []Bot) error {
	for _, bot := range bots {
		if err := b.ensureBot(ctx, bot); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) ensureBot(ctx context.Context, bot Bot) error {
	filter := b.subjects.stored(bot.Accounts, bot.Events)
	if len(filter) == 0 {
		return nil
	}
	if _, err := b.eventsConsumer(ctx, bot.Name, filter, filter, bot.Window); err != nil {
		return fmt.Errorf("make the consumer of bot %s: %w", bot.Name, err)
	}
	return nil
}

// settle makes a bot's NATS account. What crosses into the bridge's does so
// through a service, so that answers come back to the account that asked, to
// whatever subject it asks them to be sent; the mapping of actions writes the
// bot's name into the subject, where it cannot be forged.
func (s subjects) settle(srv *server.Server, bot Bot) (g guarded, err error) {
	g.Bot = bot
	bridge := srv.GlobalAccount()
	if g.account, err = srv.RegisterAccount("bot-" + bot.Name); err != nil {
		return g, fmt.Errorf("make the NATS account of bot %s: %w", bot.Name, err)
	}
	only := []*server.Account{g.account}
	service := func(here, there string, kind server.ServiceRespType) {
		err = errors.Join(err,
			bridge.AddServiceExportWithResponse(there, kind, only),
			bridge.SetServiceExportResponseThreshold(there, answerLife),
			g.account.AddServiceImport(bridge, here, there))
		g.services = append(g.services, there)
	}
	service(s.prefix+".action.*.*.*", s.botActions(bot.Name), server.Singleton)
	if len(s.stored(bot.Accounts, bot.Events)) > 0 {
		of := s.streams().events + "." + bot.Name
		info, pull, ack := "$JS.API.CONSUMER.INFO."+of, "$JS.API.CONSUMER.MSG.NEXT."+of, "$JS.ACK."+of+".>"
		service(info, info, server.Singleton)
		service(pull, pull, server.Streamed)
		service(ack, ack, server.Streamed)
	}
	for _, name := range bot.Accounts {
		for _, p := range typing(bot.Events) {
			subject := s.live(name, "", p)
			err = errors.Join(err, bridge.AddStreamExport(subject, only), g.account.AddStreamImport(bridge, subject, ""))
		}
	}
	if err != nil {
		return g, fmt.Errorf("grant bot %s what it may: %w", bot.Name, err)
	}
	return g, nil
}

// typing is what of the patterns selects typing, which no stream has.
func typing(events []event.Pattern) []event.Pattern {
	return event.Intersect(events, []event.Pattern{event.Pattern(event.TypingStart), event.Pattern(event.TypingStop)})
}

// ServeBot calls fn for each action of a bot, one after the other, until stop is
// called. fn must not block for long. Each bot has a connection of its own: one
// that floods it loses its own actions, and nobody else's.
func (b *Bus) ServeBot(bot string, fn func(*ActionRequest)) (stop func(), err error) {
	conn, err := b.connect(nats.Name("switchboard, for bot " + bot))
	if err != nil {
		return nil, fmt.Errorf("listen to bot %s: %w", bot, err)
	}
	head := b.subjects.botHead(bot)
	sub, err := conn.Subscribe(b.subjects.botActions(bot), func(m *nats.Msg) {
		r := &ActionRequest{msg: m, stream: b.streams.actions}
		r.Action, r.Err = b.subjects.readAction(m, head)
		fn(r)
	})
	if err == nil {
		err = sub.SetPendingLimits(botActions, botActionBytes)
	}
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen to bot %s: %w", bot, err)
	}
	return conn.Close, nil
}

// BotStatus is how a bot stands with its events.
type BotStatus struct {
	// Connections is how many it has to the embedded server; of an external one
	// it is not known, and 0.
	Connections int
	// Pulls is how many of its requests for events wait. It is connected and
	// at work when there are any, or some are Unacked.
	Pulls int
	// Pending is how many events it has not been given, and Unacked how many it
	// was given and has not acknowledged.
	Pending uint64
	Unacked int
	// Floor is the place in the stream up to which it has acknowledged all.
	Floor uint64
}

// Bot tells how a bot stands. One without events has a consumer no more than
// that has anything to say.
func (b *Bus) Bot(ctx context.Context, name string) (s BotStatus, err error) {
	if b.embedded != nil {
		s.Connections = b.embedded.connections(name)
	}
	consumer, err := b.js.Consumer(ctx, b.streams.events, name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("look at the consumer of bot %s: %w", name, err)
	}
	info := consumer.CachedInfo()
	s.Pulls, s.Pending, s.Unacked, s.Floor = info.NumWaiting, info.NumPending, info.NumAckPending, info.AckFloor.Stream
	return s, nil
}

// welcome is called before a bot is let in that had no connection. What it was
// given before and did not acknowledge, it no longer has: it gets that again at
// once, in order, and not after ackWait, behind what came later.
func (b *Bus) welcome(bot Bot) {
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	if err := b.ensureBot(ctx, bot); err != nil {
		b.log.Warn("a bot gets what it had under way later", "bot", bot.Name, "after", ackWait, "error", err)
	}
}

// is reports whether it is the password; one that cannot be read is nobody's.
func is(password func() (secret.Text, error), given string) bool {
	want, err := password()
	return err == nil && subtle.ConstantTimeCompare([]byte(want.Reveal()), []byte(given)) == 1
}
