package config

import (
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	tests := []struct {
		name string
		text string   // replaces {…} by nothing: it is the whole file
		env  []string // besides TOKEN
		want []string // lines; sb.yaml stands for the file
	}{
		{
			name: "refuses an unknown key and names the nearest",
			text: "acounts: {}\n",
			want: []string{`sb.yaml:1:1: acounts: unknown key "acounts": did you mean "accounts"?`},
		},
		{
			name: "refuses an unknown key and names the known ones",
			text: minimal + "nats:\n  reconnect: 5s\n",
			want: []string{`sb.yaml:3:3: nats.reconnect: unknown key "reconnect": known are credentials, durable, listen, password, url`},
		},
		{
			name: "refuses an unknown key of an account beside a known one that is wrong",
			text: "accounts:\n  a.b:\n    ws_url: ws://x\n    tokn: x\n    token: ${NOPE}\n",
			want: []string{
				`sb.yaml:4:5: accounts."a.b".tokn: unknown key "tokn": did you mean "token"?`,
				`sb.yaml:5:5: accounts."a.b".token: ${NOPE} is not set: set the variable NOPE, or write ${NOPE:-default}`,
			},
		},
		{
			name: "refuses a bare number as duration",
			text: minimal + "events: {max_age: 30}\n",
			want: []string{`sb.yaml:2:10: events.max_age: a duration needs a unit: write 30s, not 30`},
		},
		{
			name: "refuses a day as duration",
			text: minimal + "events: {max_age: 1d}\n",
			want: []string{`sb.yaml:2:10: events.max_age: "1d" is not a duration: write it in h, m, s or ms, such as 72h or 1m30s`},
		},
		{
			name: "refuses events that are kept too short or in no room",
			text: minimal + "events: {max_age: 59s, max_bytes: 0B}\n",
			want: []string{
				`sb.yaml:2:10: events.max_age: is too short: write 1m or more`,
				`sb.yaml:2:24: events.max_bytes: leaves no room for any event: write a size such as 4GiB`,
			},
		},
		{
			name: "refuses a size without a unit",
			text: minimal + "events: {max_bytes: 4096}\n",
			want: []string{`sb.yaml:2:10: events.max_bytes: "4096" is not a size: write a whole number with B, KiB, MiB, GiB or TiB, such as 512MiB`},
		},
		{
			name: "refuses what the outbox and the comparison cannot keep to",
			text: "accounts: {\"7\": {ws_url: ws://x, token: abc,\n  confirm: maybe, unclear: retry,\n  reconcile: {rate: fast},\n  outbox: {waiting: 0, rate: -1}}}\n",
			want: []string{
				`sb.yaml:2:3: accounts.7.confirm: "maybe" is not one of echo, none`,
				`sb.yaml:2:19: accounts.7.unclear: "retry" is not one of fail, resend`,
				`sb.yaml:3:15: accounts.7.reconcile.rate: "fast" is not a number: write one in digits, such as 10 or 0.5`,
				`sb.yaml:4:12: accounts.7.outbox.waiting: must be more than 0`,
				`sb.yaml:4:24: accounts.7.outbox.rate: must not be negative: write 0 for as many as there are`,
			},
		},
		{
			name: "refuses what is neither true nor false, and no number",
			text: "accounts: {\"7\": {ws_url: ws://x, token: abc,\n  debug: yes,\n  message_type: incoming}}\n",
			want: []string{
				`sb.yaml:2:3: accounts.7.debug: "yes" is neither true nor false: write one of them`,
				`sb.yaml:3:3: accounts.7.message_type: "incoming" is not a whole number: write one in digits, such as 5`,
			},
		},
		{
			name: "needs an account",
			text: "prefix: x\n",
			want: []string{`sb.yaml: accounts: none configured: write accounts: {"7": {ws_url: wss://chat.example.com, token: "${ACCOUNT_7_TOKEN}"}}, with your account's number for 7`},
		},
		{
			name: "needs an account, says it of an empty file",
			text: "# nothing yet\n",
			want: []string{`sb.yaml: accounts: none configured: write accounts: {"7": {ws_url: wss://chat.example.com, token: "${ACCOUNT_7_TOKEN}"}}, with your account's number for 7`},
		},
		{
			name: "needs a token and a URL",
			text: "accounts:\n  Shop A:\n",
			want: []string{
				`sb.yaml:2:3: accounts."Shop A".ws_url: is missing: write ws_url: wss:// and the backend's host`,
				`sb.yaml:2:3: accounts."Shop A".token: is missing: write token: ${ACCOUNT_SHOP_A_TOKEN} and set that variable, or token: file:/run/secrets/token`,
			},
		},
		{
			name: "needs a scheme",
			text: "accounts: {\"7\": {token: abc,\n  ws_url: localhost:8000,\n  api_url: localhost}}\n",
			want: []string{
				`sb.yaml:2:3: accounts.7.ws_url: needs a scheme: write ws://localhost:8000`,
				`sb.yaml:3:3: accounts.7.api_url: needs a scheme: write http://localhost`,
			},
		},
		{
			name: "refuses URLs of the wrong kind",
			text: "accounts:\n" +
				"  a: {token: abc, ws_url: http://x}\n" +
				"  b: {token: abc, ws_url: ws://}\n" +
				"  c: {token: abc, ws_url: \"ws://user:pass@x\"}\n" +
				"  d: {token: abc, ws_url: \"ws://x/?token=abc\"}\n" +
				"  e: {token: abc, ws_url: \"ws://x:port\"}\n",
			want: []string{
				`sb.yaml:2:19: accounts.a.ws_url: has a scheme that does not fit: use one of ws, wss`,
				`sb.yaml:3:19: accounts.b.ws_url: has no host: write ws://host:port`,
				`sb.yaml:4:19: accounts.c.ws_url: must not hold a user or a password: the token authenticates`,
				`sb.yaml:5:19: accounts.d.ws_url: must end before any ? or #: what belongs there is added to it`,
				`sb.yaml:6:19: accounts.e.ws_url: is not a URL: write ws://host:port`,
			},
		},
		{
			name: "refuses an unknown connector, a scheme of two words and half a self",
			text: "accounts: {\"7\": {ws_url: ws://x, token: abc,\n  connector: acount,\n  auth_scheme: Token abc,\n  message_type: 4,\n  self: {sender_id: 3}}}\n",
			want: []string{
				`sb.yaml:2:3: accounts.7.connector: "acount" is no connector: did you mean "account"?`,
				`sb.yaml:3:3: accounts.7.auth_scheme: "Token abc" is not one word: write Token or Bearer`,
				`sb.yaml:4:3: accounts.7.message_type: must be 0 (incoming), 1 (outgoing), 2 (activity) or 3 (template)`,
				`sb.yaml:5:3: accounts.7.self: is half said: write both, such as {sender_type: User, sender_id: 3}, or leave self out`,
			},
		},
		{
			name: "refuses times that make no sense",
			text: "accounts: {\"7\": {ws_url: ws://x, token: abc,\n  reconnect: {initial: 1m, max: 30s, attempts: -1},\n  heartbeat: {interval: 0s, timeout: -1s},\n  reconcile: {interval: 0s, sweep: 0s}}}\n",
			want: []string{
				`sb.yaml:2:15: accounts.7.reconnect.initial: is longer than max: write one that is not`,
				`sb.yaml:2:38: accounts.7.reconnect.attempts: must not be negative: write 0 for attempts without end`,
				`sb.yaml:3:15: accounts.7.heartbeat.interval: must be longer than nothing: write, for example, 30s`,
				`sb.yaml:3:29: accounts.7.heartbeat.timeout: must be longer than nothing: write, for example, 30s`,
				`sb.yaml:4:15: accounts.7.reconcile.interval: must be longer than nothing: write, for example, 30s`,
				`sb.yaml:4:29: accounts.7.reconcile.sweep: must be longer than nothing: write, for example, 30s`,
			},
		},
		{
			name: "refuses account names that nothing can hold",
			text: "accounts:\n  \"\": {ws_url: ws://x, token: abc}\n  \"a\\nb\": {ws_url: ws://x, token: abc}\n",
			want: []string{
				`sb.yaml:2:3: accounts."": an account's name has 1 to 128 bytes and no control characters`,
				`sb.yaml:3:3: accounts."a\nb": an account's name has 1 to 128 bytes and no control characters`,
			},
		},
		{
			name: "refuses a prefix and plugin names that cannot be in a subject, and reserved ones",
			text: minimal + "prefix: a.b\nplugins:\n  Mine: {use: slack}\n  outbox: {use: slack}\n  operator: {use: slack}\n  nats: {use: slack}\n",
			want: []string{
				`sb.yaml:2:1: prefix: "a.b" cannot begin a subject: use lower-case letters, digits and hyphens only`,
				`sb.yaml:4:3: plugins.Mine: "Mine" cannot name a plugin: use lower-case letters, digits and hyphens only`,
				`sb.yaml:5:3: plugins.outbox: "outbox" is reserved: give the plugin another name`,
				`sb.yaml:6:3: plugins.operator: "operator" is reserved: give the plugin another name`,
				`sb.yaml:7:3: plugins.nats: "nats" is reserved: give the plugin another name`,
			},
		},
		{
			name: "needs exactly one program per plugin, and its checksum",
			text: minimal + "plugins:\n  a: {}\n  b: {use: slack, command: [x]}\n  c: {command: [x]}\n  d: {command: [x], sha256: abc}\n  e: {command: [x], sha256: abc, unverified: true}\n  f: {use: slak}\n  g: {use: slack, sha256: abc}\n  h: {command: [\"\"]}\n",
			want: []string{
				`sb.yaml:3:3: plugins.a: has no program: write use: and a built-in plugin's name, or command: [./my-plugin] with its sha256`,
				`sb.yaml:4:3: plugins.b: has both use and command: remove one of them`,
				`sb.yaml:5:3: plugins.c.sha256: is missing: write what sha256sum prints of the program, or unverified: true to do without`,
				`sb.yaml:6:21: plugins.d.sha256: is not a checksum of 64 hexadecimal digits: write what sha256sum prints of the program`,
				`sb.yaml:7:34: plugins.e.unverified: contradicts sha256: remove one of them`,
				`sb.yaml:8:7: plugins.f.use: "slak" is no built-in plugin: did you mean "slack"?`,
				`sb.yaml:9:19: plugins.g.sha256: is for a command: remove it, a built-in plugin is this program itself`,
				`sb.yaml:10:17: plugins.h.command.0: is empty: the first item is the plugin's program, such as ./my-plugin`,
			},
		},
		{
			name: "refuses accounts, events and actions that do not exist",
			text: "accounts: {shop: {ws_url: ws://x, token: abc}}\nplugins:\n  a:\n    use: slack\n    accounts: [shpo]\n    events: [mesage.new, \"messages.*\", \"a b\", \"message.*.x\"]\n    actions: [send_mesage, \"*\"]\n    env: {A=B: c}\n",
			want: []string{
				`sb.yaml:5:16: plugins.a.accounts.0: "shpo" is no account that is configured: did you mean "shop"?`,
				`sb.yaml:6:14: plugins.a.events.0: "mesage.new" selects no known events: did you mean "message.new"?`,
				`sb.yaml:6:26: plugins.a.events.1: "messages.*" selects no known events: did you mean "message.*"?`,
				`sb.yaml:6:40: plugins.a.events.2: "a b" selects no events: write a type (message.new), a kind (message.*) or all (*)`,
				`sb.yaml:6:47: plugins.a.events.3: "message.*.x" selects no events: write a type (message.new), a kind (message.*) or all (*)`,
				`sb.yaml:7:15: plugins.a.actions.0: "send_mesage" is no action: did you mean "send_message"?`,
				`sb.yaml:7:28: plugins.a.actions.1: "*" is no action: known are mark_as_read, send_message, start_typing, stop_typing, update_status`,
				`sb.yaml:8:11: plugins.a.env."A=B": cannot be a variable: leave out = and NUL`,
			},
		},
		{
			name: "refuses addresses and servers that are none",
			text: minimal + "http: {listen: 8080}\nnats:\n  url: nats://a,localhost:4222\n  listen: 127.0.0.1\n",
			want: []string{
				`sb.yaml:2:8: http.listen: "8080" is not host:port: write, for example, 127.0.0.1:8080`,
				`sb.yaml:4:3: nats.url: needs a scheme: write nats://localhost:4222`,
				`sb.yaml:5:3: nats.listen: "127.0.0.1" is not host:port: write, for example, 127.0.0.1:8080`,
			},
		},
		{
			name: "refuses a port of the embedded server beside an external one",
			text: minimal + "nats:\n  url: nats://a:4222\n  listen: 127.0.0.1:4222\n",
			want: []string{`sb.yaml:4:3: nats.listen: is for the embedded server, and nats.url names an external one: remove one of them`},
		},
		{
			name: "refuses what has the wrong shape",
			text: "accounts: [a]\nnats: x\nplugins:\n  a:\n    use: {b: c}\n    events: message.new\n    config: [a]\n    actions: [send_message, ]\n    accounts:\n      -\n",
			want: []string{
				`sb.yaml:1:1: accounts: must be a map: write names, each with a colon and what belongs to it`,
				`sb.yaml:2:1: nats: must be a section with keys of its own: credentials, durable, listen, password, url`,
				`sb.yaml:4:3: plugins.a: has no program: write use: and a built-in plugin's name, or command: [./my-plugin] with its sha256`,
				`sb.yaml:5:5: plugins.a.use: must be one value, without keys or items beneath it`,
				`sb.yaml:6:5: plugins.a.events: must be a list: write [one, two], or an item a line, each after a dash`,
				`sb.yaml:7:5: plugins.a.config: must be a map: write names, each with a colon and what belongs to it`,
				`sb.yaml:10:8: plugins.a.accounts.0: is empty: write a value, or remove the item`,
			},
		},
		{
			name: "refuses a key that is there twice",
			text: minimal + "prefix: a\nprefix: b\n",
			want: []string{`sb.yaml:3:1: prefix: is here twice, first on line 2: remove one of them`},
		},
		{
			name: "says where YAML is broken",
			text: minimal + "nats:\n\turl: x\n",
			want: []string{`sb.yaml:3:1: is not YAML: a tab is in the indentation: use spaces`},
		},
		{
			name: "says where YAML is broken, and not where the broken part begins",
			text: "accounts:\n  \"7\":\n    ws_url: ws://x\n   token: abc\nprefix: x\n",
			want: []string{`sb.yaml:4:4: is not YAML: did not find expected key: check the indentation (spaces, no tabs), colons and quotes here and just above`},
		},
		{
			name: "says where a bracket was opened that is not closed",
			text: "prefix: x\naccounts:\n  \"7\": {ws_url: ws://x, token: abc\nhttp: {}\n",
			want: []string{`sb.yaml:3:3: is not YAML: did not find expected ',' or '}': check the indentation (spaces, no tabs), colons and quotes here and just above`},
		},
		{
			name: "knows two letters that changed places",
			text: "accounts: {a: {ws_url: ws://x, token: abc}}\nplugins:\n  p: {ues: slack}\n",
			want: []string{
				`sb.yaml:3:3: plugins.p: has no program: write use: and a built-in plugin's name, or command: [./my-plugin] with its sha256`,
				`sb.yaml:3:7: plugins.p.ues: unknown key "ues": did you mean "use"?`,
			},
		},
		{
			name: "refuses a token that is the name of a variable",
			text: "accounts: {a: {ws_url: ws://x, token: $ACCOUNT_TOKEN}}\n",
			want: []string{`sb.yaml:1:32: accounts.a.token: is a variable's name without braces, which is not expanded: write ${NAME}`},
		},
		{
			name: "refuses a second document",
			text: minimal + "---\nprefix: x\n",
			want: []string{`sb.yaml:2:1: a second document begins here: put it in a file of its own`},
		},
		{
			name: "refuses a document that is no map",
			text: "hello\n",
			want: []string{
				`sb.yaml: accounts: none configured: write accounts: {"7": {ws_url: wss://chat.example.com, token: "${ACCOUNT_7_TOKEN}"}}, with your account's number for 7`,
				`sb.yaml:1:1: must be a section with keys of its own: accounts, bots, data_dir, events, http, nats, plugins, prefix`,
			},
		},
		{
			name: "refuses keys and merges that are no text and no map",
			text: "? [a]\n: b\nprefix: x\naccounts: {<<: 5, a: {ws_url: ws://x, token: abc}}\n",
			want: []string{
				`sb.yaml:1:3: a key must be plain text, not a list, a map or an alias`,
				`sb.yaml:4:16: accounts: << takes a map, or a list of maps`,
			},
		},
		{
			name: "refuses an empty data directory, and credentials where their path belongs",
			text: minimal + "data_dir: \"\"\nnats:\n  url: nats://a/?x\n  credentials: ${LINES}\n",
			env:  []string{"LINES=one\ntwo"},
			want: []string{
				`sb.yaml:2:1: data_dir: is empty: name a directory, such as ./data`,
				`sb.yaml:4:3: nats.url: must end after the host and port: remove what follows ? or #`,
				`sb.yaml:5:3: nats.credentials: is a path, not what is in that file: write it without file:`,
			},
		},
		{
			name: "refuses a bare number that a variable brought in, without showing it",
			text: minimal + "events: {max_age: \"${N}\"}\n",
			env:  []string{"N=4711"},
			want: []string{`sb.yaml:2:10: events.max_age: a duration needs a unit: write 30s, not 30`},
		},
		{
			name: "refuses an alias that holds itself",
			text: "plugins: {a: {config: &a {b: *a}}}\n",
			want: []string{`sb.yaml:1:1: has more than 100000 values or 100 levels: an alias (*name) holds itself, or aliases multiply`},
		},
		{
			name: "refuses a merge of itself, and of what is no map",
			text: "plugins: {a: {config: &a {<<: *a}}}\naccounts: {<<: 5}\n",
			want: []string{
				`sb.yaml:1:1: has more than 100000 values or 100 levels: an alias (*name) holds itself, or aliases multiply`,
			},
		},
		{
			name: "names the file of a secret that is not there",
			text: "accounts: {\"7\": {ws_url: ws://x,\n  token: file:/nowhere/token}}\n",
			want: []string{`sb.yaml:2:3: accounts.7.token: file:/nowhere/token cannot be read: no such file or directory: create that file (paths are relative to where they are written), or mend its name`},
		},
		{
			name: "refuses an empty secret and one of two lines",
			text: "accounts:\n  a: {ws_url: ws://x, token: \"${EMPTY}\"}\n  b: {ws_url: ws://x, token: \"${LINES}\"}\n",
			env:  []string{"EMPTY=", "LINES=first-part\nsecond-part"},
			want: []string{
				`sb.yaml:2:23: accounts.a.token: the secret is empty: set its variable, or fill its file`,
				`sb.yaml:3:23: accounts.b.token: the secret has a line break or another control character in it: write it on one line`,
			},
		},
		{
			name: "refuses an unknown variable and names the nearest",
			text: minimal,
			env:  []string{"SWITCHBOARD_NATS_URL=x", "SWITCHBOARD_ACCOUNTS__7__TOKN=x", "SWITCHBOARD_ZZZ=x"},
			want: []string{
				`environment SWITCHBOARD_ACCOUNTS__7__TOKN: accounts.7.tokn: unknown key "tokn": did you mean "token"?`,
				`environment SWITCHBOARD_NATS_URL: unknown variable: did you mean SWITCHBOARD_NATS__URL? (levels are set apart by two underscores, as in SWITCHBOARD_ACCOUNTS__7__TOKEN; what ${…} refers to needs another prefix)`,
				`environment SWITCHBOARD_ZZZ: unknown variable: known ones go on with ACCOUNTS, BOTS, DATA_DIR, EVENTS, HTTP, NATS, PLUGINS, PREFIX (levels are set apart by two underscores, as in SWITCHBOARD_ACCOUNTS__7__TOKEN; what ${…} refers to needs another prefix)`,
			},
		},
		{
			name: "refuses an index in the environment",
			text: minimal + "plugins: {x: {use: slack, events: [message.new], config: {rules: [{a: b}]}}}\n",
			env:  []string{"SWITCHBOARD_PLUGINS__X__EVENTS__0=x", "SWITCHBOARD_PLUGINS__X__CONFIG__RULES__0__A=x"},
			want: []string{
				`environment SWITCHBOARD_PLUGINS__X__CONFIG__RULES: plugins.x.config.rules: one item of a list cannot be set from the environment: set the list in a file`,
				`environment SWITCHBOARD_PLUGINS__X__EVENTS: plugins.x.events: one item of a list cannot be set: set the whole list, with commas between its items`,
			},
		},
		{
			name: "refuses variables that contradict each other",
			text: minimal,
			env:  []string{"SWITCHBOARD_PLUGINS__X__USE=slack", "SWITCHBOARD_PLUGINS__X__CONFIG__A=1", "SWITCHBOARD_PLUGINS__X__CONFIG__A__B=2"},
			want: []string{`environment SWITCHBOARD_PLUGINS__X__CONFIG__A__B: plugins.x.config.a.b: is a part of what SWITCHBOARD_PLUGINS__X__CONFIG__A sets: unset one of them`},
		},
		{
			name: "says that a value came from the environment",
			text: minimal,
			env:  []string{"SWITCHBOARD_EVENTS__MAX_AGE=30", "SWITCHBOARD_NATS=x"},
			want: []string{
				`environment SWITCHBOARD_EVENTS__MAX_AGE: events.max_age: a duration needs a unit: write 30s, not 30`,
				`environment SWITCHBOARD_NATS: nats: must be a section with keys of its own: credentials, durable, listen, password, url`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inDir(t, map[string]string{"sb.yaml": tt.text})
			_, err := Load(Options{
				Files: []string{"sb.yaml"}, Env: append(tt.env, base...),
				Connectors: []string{"account", "simulator"}, Builtins: []string{"slack", "webhook", "autoresponder"},
			})
			if err == nil {
				t.Fatal("it is accepted")
			}
			if got, want := err.Error(), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("the error is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAcceptsEventsOfNewerBackends(t *testing.T) {
	load(t, minimal+"plugins: {a: {use: x, events: [\"*\", \"action.*\", typing.stop, contact.merged, \"contact.*\", call_log.v2.created]}}\n")
}

func TestReportsEveryFile(t *testing.T) {
	inDir(t, map[string]string{"b.yaml": "prefix: [\n", "a.yaml": "prefx: x\n"})
	_, err := Load(Options{Files: []string{"b.yaml", "a.yaml", "c.yaml"}, Env: []string{"SWITCHBOARD_HTTP__LISTN=x"}, Overrides: map[string]any{"nats.lisen": "x"}})
	want := `b.yaml:1:1: is not YAML: did not find expected node content: check the indentation (spaces, no tabs), colons and quotes here and just above
a.yaml:1:1: prefx: unknown key "prefx": did you mean "prefix"?
c.yaml: cannot be read: no such file or directory: create it, or name another one with --config
environment SWITCHBOARD_HTTP__LISTN: http.listn: unknown key "listn": did you mean "listen"?
flag nats.lisen: nats.lisen: unknown key "lisen": did you mean "listen"?`
	if err == nil || err.Error() != want {
		t.Errorf("the error is\n%v\nwant\n%s", err, want)
	}
}
