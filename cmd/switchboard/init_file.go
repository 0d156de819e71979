package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// example is how a built-in plugin is configured at first.
type example struct {
	use, about string
	// text is its section; ACCOUNT stands for the account.
	text string
	// needs are the variables that the section refers to, each with a command
	// that sets it.
	needs []string
}

var examples = []example{
	{
		use: "autoresponder", about: "Answers by rules: here, the first message of each conversation.",
		text: `responder:
  use: autoresponder
  accounts: [ACCOUNT]
  events: [message.new]
  actions: [send_message, start_typing, stop_typing]
  config:
    rules:
      - name: greeting
        then: {reply: "Hello! We have your message and answer soon."}
        limits: {once_per_conversation: true}
`,
	},
	{
		use: "slack", about: "Posts to Slack: a thread per conversation.",
		text: `notifier:
  use: slack
  accounts: [ACCOUNT]
  events: [conversation.new, conversation.updated, message.new, action.failed]
  config:
    token: ${SLACK_TOKEN}        # a bot token (xoxb-…) with the scope chat:write
    rules:
      - {name: support, events: ["*"], channel: "#support"}
`,
		needs: []string{"export SLACK_TOKEN=xoxb-…"},
	},
	{
		use: "webhook", about: "Posts events to a URL, signed (Standard Webhooks).",
		text: `forwarder:
  use: webhook
  accounts: [ACCOUNT]
  events: [message.new, "conversation.*"]
  config:
    endpoints:
      - name: crm
        url: ${WEBHOOK_URL}
        secret: ${WEBHOOK_SECRET}  # whsec_…; the receiver checks signatures with it
`,
		needs: []string{"export WEBHOOK_URL=https://…", "export WEBHOOK_SECRET=whsec_$(openssl rand -base64 32)"},
	},
}

// plainScalar is what YAML takes for text without quotes.
var plainScalar = regexp.MustCompile(`^([A-Za-z./]|\$\{)[A-Za-z0-9_./:${}-]*$`)

func scalar(text string) string {
	if plainScalar.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}

// yaml is the configuration, with comments. Plugins that were not chosen are in
// it as comments.
func (s *setup) yaml() string {
	var b strings.Builder
	account := strconv.Quote(s.account)
	fmt.Fprintf(&b, `# The configuration of Switchboard, as init wrote it. What is left out has its
# default. "switchboard check --connect" tries it.

data_dir: ./data                   # where the bridge keeps everything; relative to this file

accounts:
  %s:
    ws_url: %s
    token: %s  # where the token is; it is read anew for each connection

# Each plugin is a process of its own. It gets the accounts, events and actions
# that it is granted here, and nothing else.
plugins:
`, account, scalar(s.wsURL), scalar(s.token))
	for _, e := range examples {
		text := strings.ReplaceAll(e.text, "ACCOUNT", account)
		lead := "  "
		if !slices.Contains(s.plugins, e.use) {
			lead = "  # "
		}
		fmt.Fprintf(&b, "  # %s\n", e.about)
		for line := range strings.Lines(text) {
			b.WriteString(lead + line)
		}
		b.WriteString("\n")
	}
	if s.listen != "" {
		fmt.Fprintf(&b, "http:\n  listen: %s  # /healthz, /readyz and /metrics\n", scalar(s.listen))
	} else {
		b.WriteString("# http:\n#   listen: 127.0.0.1:8080         # /healthz, /readyz and /metrics\n")
	}
	return b.String()
}

// next says what there is to do before the bridge runs.
func (s *setup) next(out io.Writer, file string) error {
	flag := ""
	if file != defaultConfig {
		flag = " --config " + file
	}
	fmt.Fprintf(out, "\nwrote %s; next:\n", file)
	w := newTable(out)
	if variable, ok := strings.CutPrefix(s.token, "${"); ok {
		fmt.Fprintf(w, "  export %s=…\tthe account's token\n", strings.TrimSuffix(variable, "}"))
	} else {
		fmt.Fprintf(w, "  put the account's token into %s\n", strings.TrimPrefix(s.token, "file:"))
	}
	for _, e := range examples {
		if slices.Contains(s.plugins, e.use) {
			for _, need := range e.needs {
				fmt.Fprintf(w, "  %s\tfor %s\n", need, e.use)
			}
		}
	}
	fmt.Fprintf(w, "  switchboard check --connect%s\ttry the backend, the token and the plugins\n", flag)
	fmt.Fprintf(w, "  switchboard run%s\n", flag)
	if len(s.plugins) == 0 {
		fmt.Fprintf(w, "  switchboard tail%s\tsee the events; plugins to act on them are in the file, as comments\n", flag)
	}
	return w.Flush()
}
