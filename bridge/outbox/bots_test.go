package outbox_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

const botPassword secret.Text = "the password of the bots"

// botRig is a rig that lets bots in, each with a connection of its own.
type botRig struct {
	*rig
	bots *outbox.Bots
}

func startBots(t *testing.T, bots ...outbox.Bot) *botRig {
	t.Helper()
	r := prepare(t, simulator.Options{}, nil)
	r.open(func(o *bus.Options) {
		password := func() (secret.Text, error) { return botPassword, nil }
		o.OperatorPassword = password
		for _, b := range bots {
			o.Bots = append(o.Bots, bus.Bot{Name: b.Name, Password: password})
		}
	})
	r.run()
	r.background(r.door.Run)
	b := &botRig{r, outbox.NewBots(r.door, bots, slog.New(slog.NewTextHandler(&r.log, nil)))}
	r.background(b.bots.Run)
	return b
}

func (r *botRig) as(user string) *nats.Conn {
	r.t.Helper()
	nc, err := nats.Connect(r.bus.Address(), nats.UserInfo(user, botPassword.Reveal()), nats.Timeout(time.Minute))
	if err != nil {
		r.t.Fatal(err)
	}
	r.stops = append(r.stops, nc.Close)
	return nc
}

func hello(account, conversation, id string) *nats.Msg {
	msg := nats.NewMsg("test.action." + account + "." + conversation + ".send_message")
	msg.Header.Set(nats.MsgIdHdr, id)
	msg.Data = []byte(`{"content":"hello"}`)
	return msg
}

func orderBot() outbox.Bot {
	return outbox.Bot{Name: "order-bot", Accounts: []string{"7"}, Actions: []event.ActionType{event.SendMessage}, Rate: 1000, Burst: 1000}
}

func TestABotsActionIsItsOwnWhateverItSays(t *testing.T) {
	r := startBots(t, orderBot())
	results, conversation := r.watch(), r.conversation()
	msg := hello("7", conversation, "x")
	for _, header := range []string{"switchboard-by", "switchboard-sender", "switchboard-action", "ce-source", "Nats-Request-Info"} {
		msg.Header.Set(header, "operator")
	}
	nc := r.as("order-bot")
	if a := r.request(nc, msg); a.Stream != "TEST_ACTIONS" || a.Seq != 1 || a.Duplicate || a.Error.Code != 0 {
		t.Errorf("the answer is %+v", a)
	}
	if a := r.request(nc, msg); !a.Duplicate {
		t.Errorf("the second answer is %+v", a)
	}
	if res := results.wants("x", event.ActionConfirmed, ""); res.By != "order-bot" {
		t.Errorf("by %s", res.By)
	}
	// The same id of another sender is another action.
	if a := r.request(r.as("operator"), hello("7", conversation, "x")); a.Duplicate || a.Error.Code != 0 {
		t.Errorf("the operator's answer is %+v", a)
	}
	if res := results.wants("x", event.ActionConfirmed, ""); res.By != outbox.NATS {
		t.Errorf("by %s", res.By)
	}
	if s := r.bots.Status()[0]; s.Accepted != 1 || s.Duplicates != 1 || s.Refused != 0 || s.Name != "order-bot" {
		t.Errorf("status = %+v", s)
	}
}

func TestABotIsRefusedWhatItWasNotGranted(t *testing.T) {
	r := startBots(t, orderBot(), outbox.Bot{Name: "mute", Accounts: []string{"7"}, Rate: 1000, Burst: 1000})
	conversation := r.conversation()
	status := hello("7", conversation, "b")
	status.Subject = "test.action.7." + conversation + ".update_status"
	status.Data = []byte(`{"status":"resolved"}`)
	typing := hello("7", conversation, "")
	typing.Subject, typing.Data = "test.action.7."+conversation+".start_typing", nil
	wrong := hello("7", conversation, "c")
	wrong.Data = []byte(`{"contents":"hello"}`)
	escape := hello("%zz", conversation, "d")
	for name, tt := range map[string]struct {
		bot  string
		msg  *nats.Msg
		want string
		code int
	}{
		"another account":        {"order-bot", hello("nine", conversation, "a"), `not granted: bot order-bot has no account "nine"; it has 7 (bots.order-bot.accounts)`, 403},
		"an account of nobody":   {"order-bot", hello("8", conversation, "a"), `bot order-bot has no account "8"`, 403},
		"another action":         {"order-bot", status, `not granted: bot order-bot may not update_status; it may send_message (bots.order-bot.actions)`, 403},
		"typing":                 {"order-bot", typing, `may not start_typing`, 403},
		"any, where it has none": {"mute", hello("7", conversation, "a"), `may not send_message; it may none`, 403},
		"what is no action":      {"order-bot", wrong, `"contents"`, 400},
		"a subject that is none": {"order-bot", escape, "bad escape", 400},
	} {
		t.Run(name, func(t *testing.T) {
			if a := r.request(r.as(tt.bot), tt.msg); a.Error.Code != tt.code || !strings.Contains(a.Error.Description, tt.want) {
				t.Errorf("the answer is %+v", a)
			}
			if !strings.Contains(r.log.String(), `msg="action refused" bot=`+tt.bot) {
				t.Error("the operator does not read of it")
			}
		})
	}
	if s := r.outbox.Status(); s.Accepted != 0 || r.stats().Messages != 0 {
		t.Errorf("status = %+v", s)
	}
}

func TestABotThatIsTooFastIsHeldBackAndNobodyElse(t *testing.T) {
	slow := orderBot()
	slow.Rate, slow.Burst = 0.001, 3
	r := startBots(t, slow, outbox.Bot{Name: "other", Accounts: []string{"7"}, Actions: []event.ActionType{event.SendMessage}, Rate: 1, Burst: 1})
	conversation, nc := r.conversation(), r.as("order-bot")
	for n := range 5 {
		switch a := r.request(nc, hello("7", conversation, fmt.Sprint(n))); {
		case n < 3 && a.Error.Code != 0:
			t.Errorf("%d is refused: %+v", n, a)
		case n >= 3 && (a.Error.Code != 429 || !strings.Contains(a.Error.Description, "bots.order-bot.rate")):
			t.Errorf("the answer to %d is %+v", n, a)
		}
	}
	// A flood, of which nobody waits for an answer.
	const flood = 20_000
	for n := range flood {
		if err := nc.PublishMsg(hello("7", conversation, fmt.Sprint("flood ", n))); err != nil {
			t.Fatal(err)
		}
	}
	if a := r.request(r.as("other"), hello("7", conversation, "x")); a.Error.Code != 0 {
		t.Errorf("the other bot's answer is %+v", a)
	}
	if err := nc.FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	r.counts(outbox.Status{Accepted: 4, Sent: 4, Confirmed: 4})
	if n := strings.Count(r.log.String(), "too many actions at once"); n == 0 || n > 3 {
		t.Errorf("the log says %d times that it is too fast", n)
	}
	if s := r.bots.Status()[0]; s.Accepted != 3 || s.Refused < 3 || !strings.Contains(s.LastError, "too many actions at once") {
		t.Errorf("status = %+v", s)
	}
}

func TestBotsOnNATSThatAnswerEachOtherAreCut(t *testing.T) {
	other := orderBot()
	other.Name = "other"
	r := startBots(t, orderBot(), other)
	conversation := r.conversation()
	bots := []*nats.Conn{r.as("order-bot"), r.as("other")}
	var refused answer
	n := 0
	for ; n < 30 && refused.Error.Code == 0; n++ {
		refused = r.request(bots[n%2], hello("7", conversation, fmt.Sprint(n)))
	}
	if refused.Error.Code != 508 || n != 12 { // the first is no turn, and ten are allowed
		t.Errorf("action %d is answered %+v", n, refused)
	}
}
