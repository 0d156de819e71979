package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// spy hears everything in the bridge's account.
func spy(t *testing.T, b *bus.Bus, url string) (*nats.Conn, *nats.Subscription) {
	t.Helper()
	user, password := "bridge", "bridge-password-0123"
	if b.Embedded() {
		user, password = "operator", operatorsPassword
	}
	c := dial(t, url, user, password)
	return c, hear(t, c, ">")
}

func hear(t *testing.T, c *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := c.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// heard is all that a subscription has had before the marker.
func heard(t *testing.T, s *nats.Subscription, marker func() error, marked string) (messages []*nats.Msg) {
	t.Helper()
	if err := marker(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := s.NextMsgWithContext(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == marked {
			return messages
		}
		messages = append(messages, m)
	}
}

// strangers opens what there is beside the bot: a feed of a plugin's with an
// event under way, and events that are none of the bot's.
func strangers(t *testing.T, b *bus.Bus) {
	t.Helper()
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "plugin", Name: "feed", Accounts: []string{"7", "8"}, Events: []event.Pattern{"*"}, Held: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(feed.Close)
	foreign, updated := message("1", 3), message("1", 2)
	foreign.Account, foreign.ID, updated.Type = "8", "8/message.new/3", "message.updated"
	publish(t, b, foreign, updated)
	next(t, feed)
}

func TestABotReachesNothingElse(t *testing.T) {
	subjects := []string{
		// Others' events, the stream itself, and what it would give.
		"$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.SWITCHBOARD_EVENTS",
		"$JS.API.STREAM.MSG.GET.SWITCHBOARD_EVENTS", "$JS.API.DIRECT.GET.SWITCHBOARD_EVENTS",
		"$JS.API.DIRECT.GET.SWITCHBOARD_EVENTS.switchboard.event.8.1.message.new",
		"$JS.API.STREAM.MSG.GET.KV_switchboard-plugins", "$JS.API.STREAM.MSG.GET.SWITCHBOARD_LEDGER",
		"$JS.API.STREAM.CREATE.MINE", "$JS.API.STREAM.UPDATE.SWITCHBOARD_EVENTS", "$JS.API.STREAM.PURGE.SWITCHBOARD_EVENTS",
		"$JS.API.STREAM.DELETE.SWITCHBOARD_EVENTS", "$JS.API.STREAM.MSG.DELETE.SWITCHBOARD_EVENTS", "$JS.API.STREAM.SNAPSHOT.SWITCHBOARD_EVENTS",
		// Consumers: new ones, its own and others'.
		"$JS.API.CONSUMER.NAMES.SWITCHBOARD_EVENTS", "$JS.API.CONSUMER.LIST.SWITCHBOARD_EVENTS",
		"$JS.API.CONSUMER.CREATE.SWITCHBOARD_EVENTS", "$JS.API.CONSUMER.CREATE.SWITCHBOARD_EVENTS.mine",
		"$JS.API.CONSUMER.CREATE.SWITCHBOARD_EVENTS.order-bot.switchboard.event.>",
		"$JS.API.CONSUMER.DURABLE.CREATE.SWITCHBOARD_EVENTS.order-bot", "$JS.API.CONSUMER.DELETE.SWITCHBOARD_EVENTS.order-bot",
		"$JS.API.CONSUMER.RESET.SWITCHBOARD_EVENTS.order-bot", "$JS.API.CONSUMER.PAUSE.SWITCHBOARD_EVENTS.order-bot",
		"$JS.API.CONSUMER.INFO.SWITCHBOARD_EVENTS.plugin_feed", "$JS.API.CONSUMER.MSG.NEXT.SWITCHBOARD_EVENTS.plugin_feed",
		"$JS.API.CONSUMER.DELETE.SWITCHBOARD_EVENTS.plugin_feed", "$JS.API.CONSUMER.MSG.NEXT.SWITCHBOARD_ACTIONS.outbox_7",
		// What only the bridge writes.
		"switchboard.event.7.1.message.new", "switchboard.live.7.1.typing.start", "switchboard.queue.7.1.send_message",
		"switchboard.ledger.7.order-bot.x", "switchboard.state.7", "switchboard.dead.outbox.7.1", "switchboard.quarantine.7",
		"$KV.switchboard-plugins.plugin.key",
		// What is behind the mapping, in its own name and another's.
		"switchboard.bot.order-bot.7.1.send_message", "switchboard.bot.other.8.1.send_message",
		"switchboard.action.7.send_message", "switchboard.action.7.1.2.send_message",
	}
	eachServer(t, func(t *testing.T, b *bus.Bus, url string) {
		strangers(t, b)
		c := dial(t, url, "order-bot", botPassword)
		operator, all := spy(t, b, url)
		// Where the plugin acknowledges its events, too.
		subjects := append(subjects, "$JS.ACK.SWITCHBOARD_EVENTS.plugin_feed.1.1.1.0.1", "$JS.ACK.SWITCHBOARD_EVENTS.plugin_feed.1.2.2.0.0")
		if b.Embedded() { // at the other, it is led to where nobody but the spy is
			subjects = append(subjects, "$JS.API.INFO")
		}
		for _, subject := range subjects {
			if m, err := c.RequestWithContext(patient(t), subject, nil); !errors.Is(err, nats.ErrNoResponders) {
				t.Errorf("%s: it is answered (%t), %v", subject, m != nil, err)
			}
		}
		for _, m := range heard(t, all, func() error { return operator.Publish("end", nil) }, "end") {
			if slices.Contains(subjects, m.Subject) {
				t.Errorf("%s got through", m.Subject)
			}
		}
		js, err := jetstream.New(operator)
		if err != nil {
			t.Fatal(err)
		}
		for name, unacked := range map[string]int{"plugin_feed": 2, "order-bot": 0} {
			is, err := js.Consumer(patient(t), eventsStream, name)
			if err != nil {
				t.Fatal(err)
			}
			if info := is.CachedInfo(); info.NumAckPending != unacked || info.Config.FilterSubject == "switchboard.event.>" {
				t.Errorf("consumer %s is left with %d unacknowledged: %+v", name, info.NumAckPending, info.Config)
			}
		}
	})
}

func TestABotHearsNobodyElse(t *testing.T) {
	eachServer(t, func(t *testing.T, b *bus.Bus, url string) {
		c := dial(t, url, "order-bot", botPassword)
		all := hear(t, c, ">")
		strangers(t, b)
		operator, _ := spy(t, b, url)
		if err := errors.Join(operator.Publish("switchboard.action.7.1.send_message", []byte(`{}`)), operator.Flush()); err != nil {
			t.Fatal(err)
		}
		foreign := message("1", 1)
		foreign.Type, foreign.Account = event.TypingStart, "8"
		own := foreign
		own.Account = "7"
		got := heard(t, all, func() error { return errors.Join(b.PublishLive(foreign), b.PublishLive(own)) }, "switchboard.live.7.1.typing.start")
		for _, m := range got {
			t.Errorf("it heard %s", m.Subject)
		}
	})
}

// A server delivers to whatever a pull has as reply subject: so it must do it
// in the account that asked.
func TestAPullWithAForeignReplyReachesNobodyElse(t *testing.T) {
	replies := []string{
		"switchboard.queue.7.1.send_message", "switchboard.event.7.1.message.new", "switchboard.bot.other.8.1.send_message",
		"_INBOX.somebody", "$JS.API.STREAM.PURGE.SWITCHBOARD_EVENTS", "$JS.API.CONSUMER.CREATE.SWITCHBOARD_EVENTS.mine",
	}
	eachServer(t, func(t *testing.T, b *bus.Bus, url string) {
		operator, _ := spy(t, b, url)
		theirs := map[string]*nats.Subscription{}
		for _, reply := range replies {
			theirs[reply] = hear(t, operator, reply)
		}
		c := dial(t, url, "order-bot", botPassword)
		for n, reply := range replies {
			mine := hear(t, c, reply)
			publish(t, b, message("1", n))
			if err := c.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.SWITCHBOARD_EVENTS.order-bot", reply, []byte(`{"batch":1,"expires":30000000000}`)); err != nil {
				t.Fatal(err)
			}
			m, err := mine.NextMsgWithContext(patient(t))
			if err != nil || !strings.Contains(string(m.Data), fmt.Sprint(n)) {
				t.Fatalf("%s: the bot itself got %+v, %v", reply, m, err)
			}
			if err := m.Respond(nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		// What a pull delivers has the event's subject, wherever it goes, so who
		// hears it is the question. All that was sent before the answer is heard.
		if err := operator.FlushWithContext(patient(t)); err != nil {
			t.Fatal(err)
		}
		for reply, sub := range theirs {
			want := 0
			if reply == "switchboard.event.7.1.message.new" {
				want = len(replies) // by the bridge
			}
			if n, _, err := sub.Pending(); err != nil || n != want {
				t.Errorf("%s heard %d events, %v; want %d", reply, n, err, want)
			}
		}
		if n, err := b.Count(patient(t), "7", "message.new"); err != nil || n != uint64(len(replies)) {
			t.Errorf("there are %d events, %v; want %d", n, err, len(replies))
		}
	})
}

func TestNobodyElseIsLetIn(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*bus.Options)
		user   nats.Option
		in     bool
	}{
		"nobody without a password":                    {change: withBots, user: nats.Name("x")},
		"nobody by a bot's name":                       {change: withBots, user: nats.UserInfo("order-bot", "")},
		"no bot by another's password":                 {change: withBots, user: nats.UserInfo("order-bot", otherPassword)},
		"no bot as the bridge":                         {change: withBots, user: nats.UserInfo("bridge", botPassword)},
		"no bot as the operator":                       {change: withBots, user: nats.UserInfo("operator", botPassword)},
		"no token":                                     {change: withBots, user: nats.Token(botPassword)},
		"a bot":                                        {change: withBots, user: nats.UserInfo("order-bot", botPassword), in: true},
		"the operator":                                 {change: withBots, user: nats.UserInfo("operator", operatorsPassword), in: true},
		"no operator without a password":               {change: without(withBots), user: nats.UserInfo("operator", "")},
		"nobody where there are bots":                  {change: without(withBots), user: nats.Name("x")},
		"nobody where the operator has a password":     {change: guarded, user: nats.Name("x")},
		"the operator where there are no bots":         {change: guarded, user: nats.UserInfo("operator", operatorsPassword), in: true},
		"everybody where neither is, as it was before": {change: without(guarded), user: nats.Name("x"), in: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, tt.change)
			c, err := nats.Connect(b.Address(), tt.user, nats.Timeout(30*time.Second))
			if err == nil {
				defer c.Close()
			}
			if tt.in != (err == nil) || err != nil && !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func guarded(o *bus.Options) {
	o.Listen, o.OperatorPassword = "127.0.0.1:0", password(operatorsPassword)
}

func without(change func(*bus.Options)) func(*bus.Options) {
	return func(o *bus.Options) {
		change(o)
		o.OperatorPassword = nil
	}
}
