package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

const botAt = minimal + "nats: {listen: 127.0.0.1:0}\nbots:\n  order-bot:\n"

func TestABotIsReadWithItsDefaults(t *testing.T) {
	c := load(t, botAt+"    password: ${BOT_PASSWORD}\n    accounts: [\"7\"]\n    events: [message.new]\n    actions: [send_message]\n", "BOT_PASSWORD=0123456789abcdef")
	b := c.Bots["order-bot"]
	got, err := b.Password.Read()
	if err != nil || got.Reveal() != "0123456789abcdef" {
		t.Errorf("its password is read as %q, %v", got.Reveal(), err)
	}
	if b.Rate != 100 || b.Burst != 200 || b.Window != 256 {
		t.Errorf("its defaults are %+v", b)
	}
	if fmt.Sprint(b.Accounts, b.Events, b.Actions) != "[7] [message.new] [send_message]" {
		t.Errorf("it is granted %+v", b)
	}
	if shown := dump(t, c); strings.Contains(shown, "0123456789abcdef") {
		t.Error("its password is shown")
	}
	if !slices.Contains(c.Secrets(), secret.Text("0123456789abcdef")) {
		t.Error("its password is not among the secrets")
	}
}

func TestABotAtAnExternalServerHasNoPassword(t *testing.T) {
	load(t, minimal+"nats: {url: nats://n}\nbots: {b: {accounts: [\"7\"]}}\n")
}

func TestProblemsOfBots(t *testing.T) {
	const good = "password: 0123456789abcdef"
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"names the nearest": {
			text: botAt + "    " + good + "\n    accounts: [\"8\"]\n    events: [mesage.new]\n    actions: [send_mesage]\n    acounts: []\n",
			want: []string{
				`sb.yaml:6:16: bots.order-bot.accounts.0: "8" is no account that is configured: known are 7`,
				`sb.yaml:7:14: bots.order-bot.events.0: "mesage.new" selects no known events: did you mean "message.new"?`,
				`sb.yaml:8:15: bots.order-bot.actions.0: "send_mesage" is no action: did you mean "send_message"?`,
				`sb.yaml:9:5: bots.order-bot.acounts: unknown key "acounts": did you mean "accounts"?`,
			},
		},
		"refuses no password, a short one and a variable without braces": {
			text: minimal + "nats: {listen: 127.0.0.1:0, password: short}\nbots:\n  a: {}\n  b: {password: 0123456789abcde}\n  c: {password: $BOT_PASSWORD_X}\n",
			want: []string{
				`sb.yaml:2:29: nats.password: is too short: 16 characters or more, such as openssl rand -hex 16 prints`,
				`sb.yaml:4:3: bots.a.password: is missing: write password: ${BOT_A_PASSWORD} and set that variable to 16 characters or more, or password: file:/run/secrets/a`,
				`sb.yaml:5:7: bots.b.password: is too short: 16 characters or more, such as openssl rand -hex 16 prints`,
				`sb.yaml:6:7: bots.c.password: is a variable's name without braces, which is not expanded: write ${NAME}`,
			},
		},
		"refuses a password where there is no port of ours": {
			text: minimal + "nats: {password: 0123456789abcdef}\nbots: {a: {" + good + "}}\n",
			want: []string{
				`sb.yaml:2:8: nats.password: is for a port that is not open: write listen: 127.0.0.1:4222, or remove it`,
				`sb.yaml:3:12: bots.a.password: is for a port that is not open: write nats: {listen: 127.0.0.1:4222}, or nats.url and no password`,
			},
		},
		"refuses a password for an external server": {
			text: minimal + "nats: {url: nats://n}\nbots: {a: {" + good + "}}\n",
			want: []string{`sb.yaml:3:12: bots.a.password: is for the embedded server, and nats.url names an external one: remove it, and let that server know the bot`},
		},
		"refuses names that are others'": {
			text: minimal + "nats: {listen: 127.0.0.1:0}\nplugins: {slacker: {use: slack}}\nbots:\n  slacker: {" + good + "}\n  operator: {" + good + "}\n  bridge: {" + good + "}\n  Order_Bot: {" + good + "}\n",
			want: []string{
				`sb.yaml:5:3: bots.slacker: "slacker" is a plugin's name: give the bot another one, both are senders of actions`,
				`sb.yaml:6:3: bots.operator: "operator" is reserved: give the bot another name`,
				`sb.yaml:7:3: bots.bridge: "bridge" is reserved: give the bot another name`,
				`sb.yaml:8:3: bots.Order_Bot: "Order_Bot" cannot name a bot: use lower-case letters, digits and hyphens only`,
			},
		},
		"refuses limits of nothing": {
			text: botAt + "    " + good + "\n    rate: 0\n    burst: 0\n    window: 0\n",
			want: []string{
				`sb.yaml:6:5: bots.order-bot.rate: must be more than 0 actions a second`,
				`sb.yaml:7:5: bots.order-bot.burst: must be more than 0: it is how many actions may come at once`,
				`sb.yaml:8:5: bots.order-bot.window: must be more than 0: it is how many events may be unacknowledged at once; 1 keeps them in strict order`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, map[string]string{"sb.yaml": tt.text})
			_, err := Load(Options{Files: []string{"sb.yaml"}, Env: base, Builtins: []string{"slack"}})
			if err == nil {
				t.Fatal("it is accepted")
			}
			if got, want := err.Error(), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("the error is\n%s\nwant\n%s", got, want)
			}
		})
	}
}
