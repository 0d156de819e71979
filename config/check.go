package config

import (
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// complete fills in what depends on other values, and makes paths independent
// of where they were written.
func (c *Config) complete() {
	c.DataDir = c.Position("data_dir").resolve(c.DataDir)
	c.NATS.Credentials = c.Position("nats", "credentials").resolve(c.NATS.Credentials)
	for name, a := range c.Accounts {
		c.Accounts[name] = a.completed()
	}
	for name, p := range c.Plugins {
		c.Plugins[name] = p.completed(c.Position("plugins", name, "command", "0"))
	}
}

var plainName = regexp.MustCompile(`^[a-z0-9-]+$`)

const namesAre = "use lower-case letters, digits and hyphens only"

func (c *Config) validate(s scope, o Options) {
	if c.DataDir == "" {
		s.at("data_dir").problem("is empty: name a directory, such as ./data")
	}
	if at := s.at("prefix"); !plainName.MatchString(c.Prefix) {
		at.problem("%s cannot begin a subject: %s", at.show(c.Prefix), namesAre)
	}
	c.NATS.validate(s.at("nats"))
	c.Events.validate(s.at("events"))
	c.HTTP.validate(s.at("http"))
	if len(c.Accounts) == 0 {
		s.at("accounts").problem(`none configured: write accounts: {"7": {ws_url: wss://chat.example.com, token: "${ACCOUNT_7_TOKEN}"}}, with your account's number for 7`)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Accounts)) {
		c.Accounts[name].validate(s.at("accounts", name), name, o.Connectors)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
		c.Plugins[name].validate(s.at("plugins", name), name, o.Builtins, slices.Collect(maps.Keys(c.Accounts)))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Bots)) {
		c.Bots[name].validate(s.at("bots", name), name, c, slices.Collect(maps.Keys(c.Accounts)))
	}
}

func (n NATS) validate(s scope) {
	checkListen(s.at("listen"), n.Listen)
	if at := s.at("password"); !n.Password.IsZero() {
		if n.Listen == "" {
			at.problem("is for a port that is not open: write listen: 127.0.0.1:4222, or remove it")
		} else {
			checkPassword(at, n.Password)
		}
	}
	if n.URL == "" {
		return
	}
	if n.Listen != "" {
		s.at("listen").problem("is for the embedded server, and nats.url names an external one: remove one of them")
	}
	for server := range strings.SplitSeq(n.URL, ",") {
		server = strings.TrimSpace(server)
		if u := checkURL(s.at("url"), server, "nats", "tls", "ws", "wss"); u != nil && u.RawQuery+u.Fragment != "" {
			s.at("url").problem("must end after the host and port: remove what follows ? or #")
		}
	}
	if strings.ContainsAny(n.Credentials, "\r\n") {
		s.at("credentials").problem("is a path, not what is in that file: write it without file:")
	}
}

func (e Events) validate(s scope) {
	if e.MaxAge < time.Minute {
		s.at("max_age").problem("is too short: write 1m or more")
	}
	if e.MaxBytes <= 0 {
		s.at("max_bytes").problem("leaves no room for any event: write a size such as 4GiB")
	}
}

func (h HTTP) validate(s scope) { checkListen(s.at("listen"), h.Listen) }

// checkListen checks the address of a port to open; empty opens none.
func checkListen(s scope, address string) {
	if address == "" {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		s.problem("%s is not host:port: write, for example, 127.0.0.1:8080", s.show(address))
	}
}

func checkPositive(s scope, d time.Duration) {
	if d <= 0 {
		s.problem("must be longer than nothing: write, for example, 30s")
	}
}

// hostLike is what can be shown of a URL without a scheme: no user, no query.
var hostLike = regexp.MustCompile(`^[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._/-]*)?$`)

// checkURL checks a URL up to its host. It returns nil when something was
// wrong. What is wrong with a URL is said without it: it may hold a password.
func checkURL(s scope, text string, schemes ...string) *url.URL {
	known := strings.Join(schemes, ", ")
	if !strings.Contains(text, "://") {
		example := "example.com"
		if at, _ := s.config.origin.find(s.path); hostLike.MatchString(text) && !at.expanded {
			example = text
		}
		s.problem("needs a scheme: write %s://%s", schemes[0], example)
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		s.problem("is not a URL: write %s://host:port", schemes[0])
	case !slices.Contains(schemes, u.Scheme):
		s.problem("has a scheme that does not fit: use one of %s", known)
	case u.Hostname() == "":
		s.problem("has no host: write %s://host:port", schemes[0])
	default:
		return u
	}
	return nil
}
