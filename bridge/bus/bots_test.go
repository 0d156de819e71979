package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

const (
	botPassword       = "order-bot-password-0123"
	otherPassword     = "other-password-0123"
	operatorsPassword = "operator-password-0123"
	eventsStream      = "SWITCHBOARD_EVENTS"
)

func password(text string) func() (secret.Text, error) {
	return func() (secret.Text, error) { return secret.Text(text), nil }
}

// withBots has two bots at a port: order-bot with new messages and typing of
// account 7, and other with everything of account 8.
func withBots(o *bus.Options) {
	o.Prefix, o.Listen, o.OperatorPassword = "switchboard", "127.0.0.1:0", password(operatorsPassword)
	o.Bots = []bus.Bot{
		{Name: "order-bot", Accounts: []string{"7"}, Events: []event.Pattern{"message.new", "typing.*"}, Window: 100, Password: password(botPassword)},
		{Name: "other", Accounts: []string{"8"}, Events: []event.Pattern{"*"}, Window: 100, Password: password(otherPassword)},
	}
}

// operators has the same bridge and bots at a server of their operator's, as the
// example's configuration has it.
func operators(t *testing.T, dir string) string {
	t.Helper()
	t.Setenv("BRIDGE_PASSWORD", "bridge-password-0123")
	t.Setenv("ORDER_BOT_PASSWORD", botPassword)
	options, err := server.ProcessConfigFile("../../examples/nats-bot/nats-server.conf")
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.StoreDir, options.NoSigs = "127.0.0.1", server.RANDOM_PORT, dir, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the external server is not ready")
	}
	return s.ClientURL()
}

// eachServer runs a test with the embedded server and an external one.
func eachServer(t *testing.T, test func(t *testing.T, b *bus.Bus, url string)) {
	t.Run("embedded", func(t *testing.T) {
		b := open(t, withBots)
		test(t, b, b.Address())
	})
	t.Run("external", func(t *testing.T) {
		url := operators(t, t.TempDir())
		b := open(t, withBots, func(o *bus.Options) {
			o.Listen, o.URL = "", "nats://bridge:bridge-password-0123@"+url[len("nats://"):]
			o.Bots = o.Bots[:1]
		})
		test(t, b, url)
	})
}

func dial(t *testing.T, url, user, password string, more ...nats.Option) *nats.Conn {
	t.Helper()
	c, err := nats.Connect(url, append(more, nats.UserInfo(user, password), nats.Timeout(30*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func consumer(t *testing.T, c *nats.Conn, name string) jetstream.Consumer {
	t.Helper()
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	is, err := js.Consumer(patient(t), eventsStream, name)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// patient is a context for what takes milliseconds on a machine that is idle.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestABotHasItsEventsAndNoOthers(t *testing.T) {
	eachServer(t, func(t *testing.T, b *bus.Bus, url string) {
		updated := message("1", 2)
		updated.Type = "message.updated"
		foreign := message("1", 3)
		foreign.Account = "8"
		foreign.ID = "8/message.new/1"
		publish(t, b, updated, foreign, message("1", 1), message("1", 4))

		c := dial(t, url, "order-bot", botPassword)
		messages, err := consumer(t, c, "order-bot").Messages()
		if err != nil {
			t.Fatal(err)
		}
		defer messages.Stop()
		for _, want := range []int{1, 4} {
			m, err := messages.Next(jetstream.NextContext(patient(t)))
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Headers().Get("ce-id"); got != message("1", want).ID {
				t.Errorf("got event %s, want %s", got, message("1", want).ID)
			}
			if err := m.DoubleAck(patient(t)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := b.Bot(patient(t), "order-bot")
		if err != nil || s.Unacked != 0 || s.Pending != 0 {
			t.Errorf("the bot is at %+v, %v", s, err)
		}
	})
}

func TestABotHearsTypingAsGranted(t *testing.T) {
	eachServer(t, func(t *testing.T, b *bus.Bus, url string) {
		c := dial(t, url, "order-bot", botPassword)
		sub, err := c.SubscribeSync("switchboard.live.>")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{"8", "7"} {
			e := message("1", 1)
			e.Type, e.Account = event.TypingStart, account
			if err := b.PublishLive(e); err != nil {
				t.Fatal(err)
			}
		}
		m, err := sub.NextMsgWithContext(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != "switchboard.live.7.1.typing.start" {
			t.Errorf("the bot hears %s first", m.Subject)
		}
	})
}

func TestABotsActionsComeUnderItsName(t *testing.T) {
	eachServer(t, func(t *testing.T, b *bus.Bus, url string) {
		stop, err := b.ServeBot("order-bot", func(r *bus.ActionRequest) {
			if r.Err != nil || r.Action.Account != "7" || r.Action.Conversation != "a.b" || r.Action.Type != event.SendMessage || r.Action.ID != "x" {
				t.Errorf("got %+v, %v", r.Action, r.Err)
			}
			if err := r.Answer(bus.Answer{Sequence: 3}); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		js, err := jetstream.New(dial(t, url, "order-bot", botPassword))
		if err != nil {
			t.Fatal(err)
		}
		ack, err := js.Publish(patient(t), "switchboard.action.7.a%2Eb.send_message", []byte(`{"content":"hi"}`), jetstream.WithMsgID("x"))
		if err != nil || ack.Sequence != 3 {
			t.Errorf("the bot is answered %+v, %v", ack, err)
		}
	})
}

func TestABotThatComesBackHasWhatItHadUnderWayAtOnce(t *testing.T) {
	b := open(t, withBots)
	publish(t, b, message("1", 1), message("1", 2), message("1", 3), message("1", 4), message("1", 5))
	c := dial(t, b.Address(), "order-bot", botPassword)
	batch, err := consumer(t, c, "order-bot").Fetch(3, jetstream.FetchMaxWait(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for m := range batch.Messages() {
		if n++; n == 1 {
			if err := m.DoubleAck(patient(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Close()
	for s, err := b.Bot(patient(t), "order-bot"); s.Connections > 0; s, err = b.Bot(patient(t), "order-bot") {
		if err != nil {
			t.Fatal(err)
		}
	}

	started := time.Now()
	again, err := consumer(t, dial(t, b.Address(), "order-bot", botPassword), "order-bot").Fetch(4, jetstream.FetchMaxWait(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for m := range again.Messages() {
		got = append(got, m.Headers().Get("ce-id"))
	}
	var want []string
	for n := 2; n <= 5; n++ {
		want = append(want, message("1", n).ID)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v, after %s", got, want, time.Since(started))
	}
}

func TestABotKeepsItsPlaceOverARestart(t *testing.T) {
	dir := t.TempDir()
	in := func(o *bus.Options) { o.DataDir, o.Prefix = dir, "switchboard" }
	before := open(t, in)
	publish(t, before, message("1", 1))
	closeBus(t, before)

	// A bot that is new begins with what is published from now on.
	first := open(t, withBots, in)
	publish(t, first, message("1", 2), message("1", 3))
	fetch(t, first, 2)
	closeBus(t, first)

	second := open(t, withBots, in)
	publish(t, second, message("1", 4))
	fetch(t, second, 3, 4)
}

// fetch has the bot take those events and acknowledge them.
func fetch(t *testing.T, b *bus.Bus, want ...int) {
	t.Helper()
	c := dial(t, b.Address(), "order-bot", botPassword)
	defer c.Close()
	batch, err := consumer(t, c, "order-bot").Fetch(len(want), jetstream.FetchMaxWait(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for m := range batch.Messages() {
		if n >= len(want) || m.Headers().Get("ce-id") != message("1", want[n]).ID {
			t.Errorf("got %s, want %v", m.Headers().Get("ce-id"), want)
		}
		n++
		if err := m.DoubleAck(patient(t)); err != nil {
			t.Error(err)
		}
	}
	if n != len(want) {
		t.Errorf("got %d events, want %d", n, len(want))
	}
}
