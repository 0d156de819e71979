package config

import "time"

// Config is the whole configuration. It is read-only once loaded, and safe for
// concurrent use as such.
type Config struct {
	// DataDir is the directory in which the bridge keeps everything. Default:
	// data in the working directory.
	DataDir string `koanf:"data_dir"`
	// Prefix is the first token of every NATS subject. Default: switchboard.
	Prefix string `koanf:"prefix"`
	// NATS says which server to use. Default: the embedded one, no port open.
	NATS NATS `koanf:"nats"`
	// Events bounds what is kept of the past.
	Events Events `koanf:"events"`
	// Accounts are the accounts to bridge, by name; at least one.
	Accounts map[string]Account `koanf:"accounts"`
	// Plugins are the plugins to run, by name. Default: none.
	Plugins map[string]Plugin `koanf:"plugins"`
	// Bots are the programs that stand at NATS themselves, by name. Default:
	// none.
	Bots map[string]Bot `koanf:"bots"`
	// HTTP is where the API listens.
	HTTP HTTP `koanf:"http"`

	// origin is a pointer so that a dump of the Config ends at it.
	origin *origin
}

// NATS says which NATS server to use.
type NATS struct {
	// URL is an external server, or several separated by commas. Empty (the
	// default): the embedded server.
	URL string `koanf:"url"`
	// Credentials is the path of a credentials file for an external server.
	// Empty (the default): none.
	Credentials string `koanf:"credentials"`
	// Durable is the operator's word that what an external server has
	// acknowledged is on disk. Default: false.
	Durable bool `koanf:"durable"`
	// Listen is the host:port at which the embedded server lets bots in. Empty
	// (the default): no port is open.
	Listen string `koanf:"listen"`
	// Password lets the operator's own tools in at Listen, as user "operator".
	// None (the default): where there are no bots, whoever reaches the port may
	// do what they may; where there are, nobody but those is let in.
	Password SecretRef `koanf:"password"`
}

// Events bounds what is kept of the past; whichever is reached first.
type Events struct {
	// MaxAge is how long events are kept, at least 1m. Default: 72h.
	MaxAge time.Duration `koanf:"max_age"`
	// MaxBytes is how much room they may take; must be positive. Default: 4GiB.
	MaxBytes Bytes `koanf:"max_bytes"`
}

// Account is one account of a conversation backend.
type Account struct {
	// Connector names the kind of backend. Default: account.
	Connector string `koanf:"connector"`
	// WSURL is the base of the socket's URL, ws or wss, without a trailing
	// slash. Required.
	WSURL string `koanf:"ws_url"`
	// APIURL is the base of the REST API's URL, http or https, without a
	// trailing slash. Default: made of WSURL.
	APIURL string `koanf:"api_url"`
	// AuthScheme is the word before the token in the Authorization header.
	// Default: Token.
	AuthScheme string `koanf:"auth_scheme"`
	// Token authenticates the bridge. Required.
	Token SecretRef `koanf:"token"`
	// MessageType is the message_type of messages that we send: 0 incoming
	// (the default, as the reference client does), 1 outgoing, 2 activity,
	// 3 template.
	MessageType int `koanf:"message_type"`
	// Self is who the token writes as. Zero (the default): learned from the
	// first client_ref that is echoed.
	Self Self `koanf:"self"`
	// Reconnect says how a lost connection is taken up again.
	Reconnect Reconnect `koanf:"reconnect"`
	// Heartbeat says how a dead connection is noticed.
	Heartbeat Heartbeat `koanf:"heartbeat"`
	// Reconcile says how often the backend's REST API is asked for what the
	// socket did not tell.
	Reconcile Reconcile `koanf:"reconcile"`
	// Backfill says how much of the past is published at the first start.
	// Default: nothing.
	Backfill Backfill `koanf:"backfill"`
	// Recycle is after how long, about, a healthy socket is replaced by a new
	// one; must be positive. Default: 12h.
	Recycle time.Duration `koanf:"recycle"`
	// Confirm says what confirms an action: "echo" (the default), or "none"
	// for a backend that echoes nothing, where written counts as done.
	Confirm string `koanf:"confirm"`
	// Unclear says what becomes of an action of which nobody can tell whether
	// it was done: "fail" (the default), or "resend", which may do it twice.
	Unclear string `koanf:"unclear"`
	// Outbox bounds the account's actions.
	Outbox Outbox `koanf:"outbox"`
	// Loop says when bots that answer each other are cut.
	Loop Loop `koanf:"loop"`
	// Debug puts every frame in the log, secrets redacted. Default: false.
	Debug bool `koanf:"debug"`
}

// Self is a sender as the backend names it. Both fields or neither.
type Self struct {
	// SenderType is, for example, User or AgentBot.
	SenderType string `koanf:"sender_type"`
	// SenderID is the sender's id; must be positive.
	SenderID int64 `koanf:"sender_id"`
}

// Reconnect says how a lost connection is taken up again.
type Reconnect struct {
	// Initial is the pause before the second attempt; it doubles from there.
	// Must be positive. Default: 1s.
	Initial time.Duration `koanf:"initial"`
	// Max is the longest pause, at least Initial. Default: 30s.
	Max time.Duration `koanf:"max"`
	// Attempts is after how many failures in a row to give up. 0 (the
	// default): never.
	Attempts int `koanf:"attempts"`
}

// Heartbeat says how a dead connection is noticed.
type Heartbeat struct {
	// Interval is the time between pings; must be positive. Default: 30s.
	Interval time.Duration `koanf:"interval"`
	// Timeout is how long an answer may take; must be positive. Default: 10s.
	Timeout time.Duration `koanf:"timeout"`
}

// Reconcile says how often the backend is compared with what was published.
type Reconcile struct {
	// Interval is the time between comparisons of conversations with recent
	// activity; must be positive. Default: 60s.
	Interval time.Duration `koanf:"interval"`
	// Sweep is the time in which all conversations are compared once; must be
	// positive. Default: 15m.
	Sweep time.Duration `koanf:"sweep"`
	// Depth is how old a message may be whose edits are found; must be
	// positive. Default: 24h.
	Depth time.Duration `koanf:"depth"`
	// Rate is how many REST requests a second are made at most; must be
	// positive. Default: 10.
	Rate float64 `koanf:"rate"`
}

// Backfill says how much of the past is published at the first start.
type Backfill struct {
	// Since is how far back to go from the backend's newest activity. Default:
	// 0s, nothing.
	Since time.Duration `koanf:"since"`
}

// Outbox bounds the actions of an account.
type Outbox struct {
	// Rate is how many actions are sent a second at most. 0 (the default): as
	// many as there are.
	Rate float64 `koanf:"rate"`
	// Waiting is how many actions may wait, of all senders together. Must be
	// positive. Default: 100000.
	Waiting int `koanf:"waiting"`
	// WaitingPerSender is how many of one sender. Must be positive. Default:
	// 10000.
	WaitingPerSender int `koanf:"waiting_per_sender"`
	// Bytes is how much room those of the account may take. Must be positive.
	// Default: 256MiB.
	Bytes Bytes `koanf:"bytes"`
	// Attempts is how often an action is tried that the backend refuses for a
	// while. Must be positive. Default: 8.
	Attempts int `koanf:"attempts"`
}

// Loop says when bots that answer each other in a conversation are cut.
type Loop struct {
	// Turns is how many of their messages may follow each other, each by
	// another than the one before, with none by a person between. Must be
	// positive. Default: 10.
	Turns int `koanf:"turns"`
	// Within is the time in which they count; must be positive. Default: 5m.
	Within time.Duration `koanf:"within"`
}

// Plugin is one plugin process and what it is granted. It prints, logs and
// marshals to JSON without its secrets.
type Plugin struct {
	// Use names a built-in plugin. Either Use or Command is required.
	Use string `koanf:"use"`
	// Command is a plugin's program with its arguments. The program's path is
	// absolute once loaded.
	Command []string `koanf:"command"`
	// SHA256 is the program's checksum, 64 hexadecimal digits, lower-cased
	// once loaded. A command needs it, or Unverified.
	SHA256 string `koanf:"sha256"`
	// Unverified lets a command run without a checksum. Default: false.
	Unverified bool `koanf:"unverified"`
	// Accounts are the accounts it may see. Default: none.
	Accounts []string `koanf:"accounts"`
	// Events are the types of events it may see: a type (message.new), a kind
	// (message.*) or all (*). Default: none.
	Events []string `koanf:"events"`
	// Actions are what it may do. Default: nothing.
	Actions []string `koanf:"actions"`
	// Rate is how many actions a second it may take; must be positive.
	// Default: 100.
	Rate float64 `koanf:"rate"`
	// Store is how much it may keep; must be positive. Default: 16MiB.
	Store Bytes `koanf:"store"`
	// Env is its whole environment. Default: empty.
	Env map[string]string `koanf:"env"`
	// Config is its own configuration, expanded, free in form: maps, lists,
	// string, bool, int64 (uint64 where that is too small), float64 and nil.
	// Default: empty.
	Config map[string]any `koanf:"config"`

	// secret has the paths in Config of what must not be shown.
	secret map[string]bool
}

// Bot is a program that stands at NATS itself, and what it is granted.
type Bot struct {
	// Password lets it in at nats.listen, with its name as user. Required there,
	// and not allowed with nats.url, whose server knows the bot itself.
	Password SecretRef `koanf:"password"`
	// Accounts are the accounts it may see. Default: none.
	Accounts []string `koanf:"accounts"`
	// Events are the types of events it gets: a type (message.new), a kind
	// (message.*) or all (*). Default: none.
	Events []string `koanf:"events"`
	// Actions are what it may do. Default: nothing.
	Actions []string `koanf:"actions"`
	// Rate is how many actions a second it may send; must be positive. Default:
	// 100.
	Rate float64 `koanf:"rate"`
	// Burst is how many of them may come at once; must be positive. Default: 200.
	Burst int `koanf:"burst"`
	// Window is how many events it may have and not have acknowledged; must be
	// positive. 1 keeps them in strict order, also through failures. Default:
	// 256.
	Window int `koanf:"window"`
}

// HTTP is where the API listens.
type HTTP struct {
	// Listen is a host:port for API, metrics and health. Empty (the default):
	// no port is open.
	Listen string `koanf:"listen"`
}

func defaults() *Config {
	return &Config{
		DataDir: "data",
		Prefix:  "switchboard",
		Events:  Events{MaxAge: 72 * time.Hour, MaxBytes: 4 << 30},
	}
}

func defaultBot() Bot { return Bot{Rate: 100, Burst: 200, Window: 256} }

func defaultAccount() Account {
	return Account{
		Connector:  "account",
		AuthScheme: "Token",
		Reconnect:  Reconnect{Initial: time.Second, Max: 30 * time.Second},
		Heartbeat:  Heartbeat{Interval: 30 * time.Second, Timeout: 10 * time.Second},
		Reconcile:  Reconcile{Interval: time.Minute, Sweep: 15 * time.Minute, Depth: 24 * time.Hour, Rate: 10},
		Recycle:    12 * time.Hour,
		Confirm:    "echo",
		Unclear:    "fail",
		Outbox:     Outbox{Waiting: 100_000, WaitingPerSender: 10_000, Bytes: 256 << 20, Attempts: 8},
		Loop:       Loop{Turns: 10, Within: 5 * time.Minute},
	}
}

func defaultPlugin() Plugin { return Plugin{Rate: 100, Store: 16 << 20} }
