package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// reservedNames are senders that are no plugins, and the outbox's name in the
// subjects of dead letters.
var reservedNames = []string{"outbox", "operator", "nats"}

// completed returns the plugin with its program's path absolute, which is
// relative to where its command was written.
func (p Plugin) completed(program Source) Plugin {
	if len(p.Command) > 0 && p.Command[0] != "" {
		p.Command[0] = absolute(program.resolve(p.Command[0]))
	}
	p.SHA256 = strings.ToLower(p.SHA256)
	if p.Config == nil {
		p.Config = map[string]any{}
	}
	return p
}

// CheckPluginName says what is wrong with a plugin's name.
func CheckPluginName(name string) error {
	switch {
	case !plainName.MatchString(name):
		return fmt.Errorf("%q cannot name a plugin: %s", name, namesAre)
	case slices.Contains(reservedNames, name):
		return fmt.Errorf("%q is reserved: give the plugin another name", name)
	}
	return nil
}

func (p Plugin) validate(s scope, name string, builtins, accounts []string) {
	if err := CheckPluginName(name); err != nil {
		s.problem("%v", err)
	}
	p.validateProgram(s, builtins)
	for i, account := range p.Accounts {
		if at := s.at("accounts", strconv.Itoa(i)); !slices.Contains(accounts, account) {
			at.problem("%s is no account that is configured: %s", at.show(account), Hint(account, accounts))
		}
	}
	for i, pattern := range p.Events {
		at := s.at("events", strconv.Itoa(i))
		if err := checkPattern(pattern, at.show(pattern)); err != nil {
			at.problem("%v", err)
		}
	}
	for i, action := range p.Actions {
		if at := s.at("actions", strconv.Itoa(i)); !event.ActionType(action).Known() {
			at.problem("%s is no action: %s", at.show(action), Hint(action, actionTypes))
		}
	}
	if p.Rate <= 0 {
		s.at("rate").problem("must be more than 0 actions a second")
	}
	if p.Store <= 0 {
		s.at("store").problem("must be more than 0")
	}
	for _, variable := range slices.Sorted(maps.Keys(p.Env)) {
		if variable == "" || strings.ContainsAny(variable, "=\x00") || strings.Contains(p.Env[variable], "\x00") {
			s.at("env", variable).problem("cannot be a variable: leave out = and NUL")
		}
	}
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (p Plugin) validateProgram(s scope, builtins []string) {
	command := len(p.Command) > 0
	switch {
	case p.Use != "" && command:
		s.problem("has both use and command: remove one of them")
	case p.Use == "" && !command:
		s.problem("has no program: write use: and a built-in plugin's name, or command: [./my-plugin] with its sha256")
	case p.Use != "":
		p.validateBuiltin(s, builtins)
	case p.Command[0] == "":
		s.at("command", "0").problem("is empty: the first item is the plugin's program, such as ./my-plugin")
	case p.SHA256 == "" && !p.Unverified:
		s.at("sha256").problem("is missing: write what sha256sum prints of the program, or unverified: true to do without")
	case p.SHA256 != "" && p.Unverified:
		s.at("unverified").problem("contradicts sha256: remove one of them")
	case p.SHA256 != "" && !sha256Hex.MatchString(p.SHA256):
		s.at("sha256").problem("is not a checksum of 64 hexadecimal digits: write what sha256sum prints of the program")
	}
}

func (p Plugin) validateBuiltin(s scope, builtins []string) {
	if at := s.at("use"); builtins != nil && !slices.Contains(builtins, p.Use) {
		at.problem("%s is no built-in plugin: %s", at.show(p.Use), Hint(p.Use, builtins))
	}
	if p.SHA256 != "" {
		s.at("sha256").problem("is for a command: remove it, a built-in plugin is this program itself")
	}
}

var (
	eventTypes = func() []string {
		names := make([]string, len(event.Types))
		for i, t := range event.Types {
			names[i] = string(t)
		}
		return names
	}()
	eventKinds = []string{"conversation.*", "message.*", "typing.*", "action.*"}

	actionTypes = func() []string {
		names := make([]string, len(event.ActionTypes))
		for i, t := range event.ActionTypes {
			names[i] = string(t)
		}
		return names
	}()

	patternForm = regexp.MustCompile(`^([a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?|\*)$`)
)

// Patterns are the types and kinds of events that are known, for completion.
func Patterns() []string { return slices.Concat(eventTypes, eventKinds) }

// CheckPattern says what is wrong with a selection of events. It lets types
// pass that a newer backend may send, but none that is nearly one we know.
func CheckPattern(pattern string) error { return checkPattern(pattern, strconv.Quote(pattern)) }

// checkPattern has the pattern as it may be shown.
func checkPattern(pattern, shown string) error {
	if !patternForm.MatchString(pattern) {
		return fmt.Errorf("%s selects no events: write a type (message.new), a kind (message.*) or all (*)", shown)
	}
	known := eventTypes
	if strings.HasSuffix(pattern, "*") {
		known = eventKinds
	}
	if pattern == "*" || slices.Contains(known, pattern) {
		return nil
	}
	if near := nearest(pattern, known); near != "" {
		return fmt.Errorf("%s selects no known events: did you mean %q?", shown, near)
	}
	return nil
}
