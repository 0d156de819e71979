package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/switchboard-dev/switchboard/config"
)

// The names of the demo's plugins.
const (
	forwarder = "forwarder"
	notifier  = "notifier"
	responder = "responder"
)

// configure writes the demo's configuration, as a user would, and loads it.
func (d *demo) configure(dir string, w *world) (*config.Config, string, error) {
	ws := *w.backendURL
	ws.Scheme = map[string]string{"http": "ws", "https": "wss"}[ws.Scheme]
	// Our backend echoes what it was sent and tells what became of it: what is
	// not found there after a while was not done.
	unclear := ""
	if w.backend != nil {
		unclear = "    unclear: resend\n"
	}
	text := fmt.Sprintf(`# Written by switchboard demo.
data_dir: %s
accounts:
  %q:
    ws_url: %q
    api_url: %q
    token: %s
%[10]splugins:
  forwarder:
    use: webhook
    accounts: [%[2]q]
    events: ["*"]
    config:
      endpoints: [{name: demo, url: %[6]q, secret: %[7]q}]
      allow_networks: [127.0.0.0/8]
  notifier:
    use: slack
    accounts: [%[2]q]
    events: [conversation.new, conversation.updated, message.new]
    config:
      token: %[8]q
      api_url: %[9]q
      rules: [{name: support, events: [conversation.new, message.new], channel: "#support"}]
  responder:
    use: autoresponder
    accounts: [%[2]q]
    events: [message.new]
    actions: [send_message, update_status, mark_as_read, start_typing, stop_typing]
    config:
      rules:
        - name: thanks
          when: {keywords: [thanks, thank you]}
          then: {reply: "You are welcome. We close this now; write again at any time.", status: resolved}
        - name: prices
          when: {keywords: [price, prices, cost, refund]}
          then: {reply: "Our prices are at example.com/prices; a colleague will look at your question.", mark_as_read: true}
        - name: greeting
          then: {reply: "Hello! We have your message and answer soon."}
          limits: {once_per_conversation: true}
`, filepath.Join(dir, "data"), d.account, ws.String(), w.backendURL.String(), w.tokenText,
		w.webhookURL, w.webhookSecret, w.slackToken, w.slackURL, unclear)
	file := filepath.Join(dir, "switchboard.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	cfg, err := config.Load(config.Options{Files: []string{file}, Connectors: names(builtinConnectors), Builtins: names(builtinPlugins)})
	return cfg, file, err
}

// parseBackend reads --backend.
func parseBackend(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, usagef("--backend %q is not a URL such as http://localhost:8000", text)
	}
	return u, nil
}
