package autoresponder

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Config is what an operator writes under plugins.<name>.config.
type Config struct {
	// Rules are asked in order; the first whose When is met answers.
	Rules []Rule `json:"rules" jsonschema:"asked in order: the first that matches answers"`
}

// Rule says what is answered how.
type Rule struct {
	// Name names the rule in logs, and its limits in the store: under another
	// name they start anew. [a-z0-9-]+, up to 64 bytes, unique.
	Name   string `json:"name" jsonschema:"name of the rule, [a-z0-9-]+; its limits are kept under it"`
	When   When   `json:"when,omitzero" jsonschema:"what a customer's message must be like; left out: any"`
	Then   Then   `json:"then" jsonschema:"what to do; at least one thing"`
	Limits Limits `json:"limits,omitzero" jsonschema:"how often to do it in one conversation; left out: each time"`
}

// When says which messages of customers a rule answers: all of its conditions
// must be met, and one that is left out is.
type When struct {
	// Events are the events to look at: message.new (the default),
	// message.updated, and conversation.new, which counts as the last message
	// that it carries.
	Events []string `json:"events,omitempty" jsonschema:"message.new (when left out), message.updated, conversation.new"`
	// Keywords are words or phrases of which one must be in the message, as
	// whole words, in any case.
	Keywords []string `json:"keywords,omitempty" jsonschema:"words or phrases; one of them must be in the message, as whole words, in any case"`
	// Matches is a regular expression that the message must match somewhere,
	// in the syntax of RE2 (https://github.com/google/re2/wiki/Syntax).
	Matches string `json:"matches,omitempty" jsonschema:"regular expression (RE2) that the message must match; (?i) makes it ignore case"`
}

// Then says what a rule does, in this order.
type Then struct {
	// Reply is the text to send, a template (https://pkg.go.dev/text/template).
	// It has .Account, .Message (.Content, .ID, …) and .Conversation.ID; for
	// conversation.new also .Contact (.Name, .Email, …) and the rest of
	// .Conversation. A reply that comes out blank is not sent.
	Reply string `json:"reply,omitempty" jsonschema:"text to send; a template with .Message.Content, .Conversation.ID and, for conversation.new, .Contact.Name"`
	// Typing shows the customer that a reply is being written, while it is;
	// default true. Where that is not granted, the reply goes out all the same.
	Typing *bool `json:"typing,omitempty" jsonschema:"whether to show typing before the reply; true when left out"`
	// Status is what the conversation is set to: open, resolved, pending or
	// snoozed.
	Status string `json:"status,omitempty" jsonschema:"status to set: open, resolved, pending or snoozed"`
	// MarkAsRead marks the conversation as read.
	MarkAsRead bool `json:"mark_as_read,omitempty" jsonschema:"whether to mark the conversation as read"`
}

// Limits bound how often a rule acts in one conversation.
type Limits struct {
	// Cooldown is how long the rule rests after it acted; 0: not at all.
	Cooldown sdk.Duration `json:"cooldown,omitempty" jsonschema:"how long the rule rests in a conversation after it acted, such as 1h"`
	// OncePerConversation lets the rule act once in a conversation, ever.
	OncePerConversation bool `json:"once_per_conversation,omitempty" jsonschema:"whether the rule acts only once in a conversation"`
}

// rules checks the configuration and makes what it describes. Every error in
// it is reported.
func (c Config) rules() ([]*rule, error) {
	var problems []error
	wrong := func(err error, path string, args ...any) {
		if err != nil {
			problems = append(problems, &sdk.ConfigError{Path: fmt.Sprintf(path, args...), Err: err})
		}
	}
	if len(c.Rules) == 0 {
		wrong(errors.New("write at least one rule"), "/rules")
	}
	var list []*rule
	names := map[string]int{}
	for i, r := range c.Rules {
		made := &rule{name: r.Name, events: r.When.types(), limits: r.Limits, markAsRead: r.Then.MarkAsRead}
		wrong(checkName(r.Name, names), "/rules/%d/name", i)
		names[r.Name] = i
		for j, e := range r.When.Events {
			wrong(checkEvent(e), "/rules/%d/when/events/%d", i, j)
		}
		for j, k := range r.When.Keywords {
			if strings.TrimSpace(k) == "" {
				wrong(errors.New("is blank: write a word, or take it out"), "/rules/%d/when/keywords/%d", i, j)
			}
		}
		made.keywords = keywords(r.When.Keywords)
		var err error
		if r.When.Matches != "" {
			made.matches, err = regexp.Compile(r.When.Matches)
			wrong(err, "/rules/%d/when/matches", i)
		}
		if r.Then == (Then{Typing: r.Then.Typing}) {
			wrong(errors.New("does nothing: give a reply, a status or mark_as_read"), "/rules/%d/then", i)
		}
		if r.Then.Typing != nil && r.Then.Reply == "" {
			wrong(errors.New("typing is shown before a reply, and there is none: take it out"), "/rules/%d/then/typing", i)
		}
		made.typing = r.Then.Typing == nil || *r.Then.Typing
		if r.Then.Reply != "" {
			made.reply, err = parseReply(r.Then.Reply, made.events)
			wrong(err, "/rules/%d/then/reply", i)
		}
		if r.Then.Status != "" {
			made.status, err = parseStatus(r.Then.Status)
			wrong(err, "/rules/%d/then/status", i)
		}
		switch {
		case r.Limits.Cooldown < 0:
			wrong(errors.New("must not be negative"), "/rules/%d/limits/cooldown", i)
		case r.Limits.Cooldown > 0 && r.Limits.OncePerConversation:
			wrong(errors.New("has no effect beside once_per_conversation: take one of them out"), "/rules/%d/limits/cooldown", i)
		}
		list = append(list, made)
	}
	return list, errors.Join(problems...)
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func checkName(name string, taken map[string]int) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q is not a name: use a to z, 0 to 9 and -, up to 64", name)
	}
	if first, ok := taken[name]; ok {
		return fmt.Errorf("%q is the name of /rules/%d already: give each a name of its own", name, first)
	}
	return nil
}

func checkEvent(pattern string) error {
	if slices.ContainsFunc(answerable, event.Pattern(pattern).Matches) {
		return nil
	}
	return fmt.Errorf("%q has no message that could be answered: write one of %v", pattern, answerable)
}

// types are the events that the rule looks at.
func (w When) types() []event.Type {
	if len(w.Events) == 0 {
		return []event.Type{event.MessageNew}
	}
	var list []event.Type
	for _, t := range answerable {
		if slices.ContainsFunc(event.Patterns(w.Events), func(p event.Pattern) bool { return p.Matches(t) }) {
			list = append(list, t)
		}
	}
	return list
}

func parseStatus(name string) (*event.Status, error) {
	i := slices.Index(event.Statuses, name)
	if i < 0 {
		return nil, fmt.Errorf("%q is not a status: write one of %v", name, event.Statuses)
	}
	s := event.Status(i)
	return &s, nil
}
