package config

import (
	"slices"
	"strconv"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// minPassword is how long a bot's password is at least: it stands at an open
// port.
const minPassword = 16

func (b Bot) validate(s scope, name string, c *Config, accounts []string) {
	_, plugin := c.Plugins[name]
	switch {
	case !plainName.MatchString(name):
		s.problem("%q cannot name a bot: %s", name, namesAre)
	case slices.Contains(reservedNames, name), name == bridgeUser:
		s.problem("%q is reserved: give the bot another name", name)
	case plugin:
		s.problem("%q is a plugin's name: give the bot another one, both are senders of actions", name)
	}
	for i, account := range b.Accounts {
		if at := s.at("accounts", strconv.Itoa(i)); !slices.Contains(accounts, account) {
			at.problem("%s is no account that is configured: %s", at.show(account), Hint(account, accounts))
		}
	}
	for i, pattern := range b.Events {
		at := s.at("events", strconv.Itoa(i))
		if err := checkPattern(pattern, at.show(pattern)); err != nil {
			at.problem("%v", err)
		}
	}
	for i, action := range b.Actions {
		if at := s.at("actions", strconv.Itoa(i)); !event.ActionType(action).Known() {
			at.problem("%s is no action: %s", at.show(action), Hint(action, actionTypes))
		}
	}
	if b.Rate <= 0 {
		s.at("rate").problem("must be more than 0 actions a second")
	}
	if b.Burst <= 0 {
		s.at("burst").problem("must be more than 0: it is how many actions may come at once")
	}
	if b.Window <= 0 {
		s.at("window").problem("must be more than 0: it is how many events may be unacknowledged at once; 1 keeps them in strict order")
	}
	b.validatePassword(s.at("password"), name, c.NATS)
}

// bridgeUser is who the bridge itself connects as.
const bridgeUser = "bridge"

func (b Bot) validatePassword(at scope, name string, n NATS) {
	switch {
	case n.URL != "":
		if !b.Password.IsZero() {
			at.problem("is for the embedded server, and nats.url names an external one: remove it, and let that server know the bot")
		}
	case n.Listen == "":
		at.problem("is for a port that is not open: write nats: {listen: 127.0.0.1:4222}, or nats.url and no password")
	case b.Password.IsZero():
		at.problem("is missing: write password: ${%s} and set that variable to %d characters or more, or password: file:/run/secrets/%s", PasswordVariable(name), minPassword, name)
	default:
		checkPassword(at, b.Password)
	}
}

// checkPassword checks one that is there. One that cannot be read has been
// reported.
func checkPassword(at scope, password SecretRef) {
	if bareReference.MatchString(password.text()) {
		at.problem("is a variable's name without braces, which is not expanded: write ${NAME}")
	} else if text, err := password.Read(); err == nil && len(text.Reveal()) < minPassword {
		at.problem("is too short: %d characters or more, such as openssl rand -hex 16 prints", minPassword)
	}
}

// PasswordVariable is the variable that a bot's password is best kept in.
func PasswordVariable(bot string) string { return variable("BOT", bot, "PASSWORD") }
