package slack

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Config is what an operator writes under plugins.<name>.config. Exactly one
// of Token and WebhookURL is given.
type Config struct {
	// Token is a bot token (xoxb-…) with the scope chat:write, and
	// chat:write.public for public channels that the app was not invited to.
	Token secret.Text `json:"token,omitempty" jsonschema:"bot token (xoxb-…) with the scope chat:write; or give webhook_url"`
	// WebhookURL is an incoming webhook: simple mode, one channel, no threads.
	WebhookURL secret.Text `json:"webhook_url,omitempty" jsonschema:"URL of an incoming webhook, in place of token: simple mode, without threads"`
	// APIURL is where Slack's Web API is; default https://slack.com/api/. For
	// tests, GovSlack and relays. (A proxy can also be named by HTTPS_PROXY in
	// the plugin's env.)
	APIURL string `json:"api_url,omitempty" jsonschema:"base URL of Slack's Web API; https://slack.com/api/ when left out"`
	// Rules say which events are posted where; at least one.
	Rules []Rule `json:"rules" jsonschema:"which events are posted where; each rule has a feed and threads of its own"`
}

// Rule posts events of some types to one channel.
type Rule struct {
	// Name names the rule's feed and its threads: under another name it starts
	// anew. [a-z0-9-]+, up to 64 bytes, unique. Left out, it is made of the
	// channel: support for #support, c024be91l for C024BE91L.
	Name string `json:"name,omitempty" jsonschema:"name of the rule, [a-z0-9-]+; made of the channel when left out"`
	// Events are the types to post, such as message.new or conversation.*.
	Events []string `json:"events" jsonschema:"types of events to post, such as message.new, conversation.* or action.failed"`
	// Channel is a channel's id (C024BE91L: survives a rename) or #name. Not
	// in simple mode: there the webhook has its channel.
	Channel string `json:"channel,omitempty" jsonschema:"id of the channel, such as C024BE91L, or #name; not with webhook_url"`
}

// known are the types that a rule may name.
var known = []event.Type{
	event.ConversationNew, event.ConversationUpdated, event.MessageNew, event.MessageUpdated,
	event.ActionSent, event.ActionConfirmed, event.ActionFailed, event.ActionExpired,
}

// check reports every error of the configuration.
func (c Config) check() error {
	var problems []error
	wrong := func(path, format string, args ...any) {
		problems = append(problems, &sdk.ConfigError{Path: path, Err: fmt.Errorf(format, args...)})
	}
	simple := c.WebhookURL != ""
	switch {
	case simple && c.Token != "":
		wrong("/webhook_url", "give a token or a webhook_url, not both")
	case !simple && c.Token == "":
		wrong("/token", "give a bot token (xoxb-…), or webhook_url for an incoming webhook")
	case strings.HasPrefix(c.Token.Reveal(), "xapp-"):
		wrong("/token", "this is an app-level token: give the bot token (xoxb-…) of OAuth & Permissions")
	case strings.ContainsFunc(c.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }):
		wrong("/token", "has spaces or characters that no token has")
	}
	if simple && !isURL(c.WebhookURL.Reveal()) {
		wrong("/webhook_url", "write the whole URL, as in https://hooks.slack.com/services/T…/B…/…")
	}
	if c.APIURL != "" && !isURL(c.APIURL) {
		wrong("/api_url", "write the whole URL, as in https://slack.com/api/")
	}
	if len(c.Rules) == 0 {
		wrong("/rules", "write at least one rule")
	}
	names := map[string]int{}
	for i, r := range c.Rules {
		at := fmt.Sprintf("/rules/%d", i)
		switch {
		case simple && r.Channel != "":
			wrong(at+"/channel", "an incoming webhook posts to its own channel: leave it out, or use a token")
		case !simple && strings.TrimSpace(r.Channel) == "":
			wrong(at+"/channel", "name a channel: its id, such as C024BE91L, or #name")
		}
		if len(r.Events) == 0 {
			wrong(at+"/events", "name at least one type of event, such as message.new")
		}
		for j, e := range r.Events {
			if err := checkPattern(e); err != nil {
				wrong(fmt.Sprintf("%s/events/%d", at, j), "%w", err)
			}
		}
		if r.Name != "" && !validName.MatchString(r.Name) {
			wrong(at+"/name", "%q is not a name: use a to z, 0 to 9 and -, up to 64", r.Name)
		} else if first, taken := names[r.name()]; taken {
			wrong(at+"/name", "%q is the name of /rules/%d already: give each a name of its own", r.name(), first)
		}
		names[r.name()] = i
	}
	return errors.Join(problems...)
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != ""
}

func checkPattern(text string) error {
	p := event.Pattern(text)
	switch {
	case slices.ContainsFunc(known, p.Matches):
		return nil
	case p.Matches(event.TypingStart), p.Matches(event.TypingStop):
		return errors.New("typing is not posted: it is over before it arrives")
	}
	return fmt.Errorf("%q selects nothing: write *, message.*, or one of %v", text, known)
}

var (
	validName  = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	notInNames = regexp.MustCompile(`[^a-z0-9]+`)
)

// name is the rule's name, given or made. Positions and threads are kept under
// it: what is made of a channel must never change.
func (r Rule) name() string {
	made := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(r.Channel), "-"), "-")
	switch {
	case r.Channel == "":
		made = "webhook"
	case made == "", len(made) > 64:
		sum := sha256.Sum256([]byte(r.Channel))
		made = "channel-" + hex.EncodeToString(sum[:4])
	}
	return cmp.Or(r.Name, made)
}

// patterns are what the rule selects of the plugin's events.
func (r Rule) patterns() []event.Pattern {
	return event.Intersect(event.Patterns(events), event.Patterns(r.Events))
}
