package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Secrets returns what must not be shown, for scrubbing text that others make:
// the accounts' tokens and the passwords for nats.listen, read anew, what
// expansions brought into plugins, and passwords in nats.url. The longest come first, so that none leaves a rest of
// another behind.
func (c *Config) Secrets() []secret.Text {
	var all []secret.Text
	if c.origin != nil {
		for _, handle := range c.origin.brought {
			all = append(all, handle.Value())
		}
	}
	refs := []SecretRef{c.NATS.Password}
	for _, a := range c.Accounts {
		refs = append(refs, a.Token)
	}
	for _, b := range c.Bots {
		refs = append(refs, b.Password)
	}
	for _, ref := range refs {
		if text, err := ref.Read(); err == nil {
			all = append(all, text)
		}
	}
	for server := range strings.SplitSeq(c.NATS.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.User == nil {
			continue
		}
		password, ok := u.User.Password()
		if !ok {
			password = u.User.Username() // a token
		}
		all = append(all, secret.Text(password))
	}
	slices.SortFunc(all, func(a, b secret.Text) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a.Reveal(), b.Reveal())
	})
	return slices.Compact(all)
}

// expandFree expands the texts in a part whose form is the user's own, and
// notes in hidden which leaves must not be shown: those that an expansion
// changed, and texts that came from the environment.
func (l *loader) expandFree(value any, path []string, hidden map[string]bool) any {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = l.expandFree(item, child(path, key), hidden)
		}
	case []any:
		for i, item := range v {
			v[i] = l.expandFree(item, child(path, strconv.Itoa(i)), hidden)
		}
	case string:
		text, _ := l.expand(v, scope{config: l.config, report: l.report, path: path})
		at, _ := l.config.origin.find(path)
		if at.expanded || strings.HasPrefix(at.source.File, "environment ") {
			l.config.origin.hide(text)
			hidden[place(path[3:])] = true
		}
		return text
	}
	return value
}

// place is a path as a key of a map.
func place(path []string) string { return strings.Join(path, "\x00") }

// Redacted returns a copy of Config in which [redacted] stands for each leaf
// that ${…}, file: or the environment brought in.
func (p Plugin) Redacted() map[string]any {
	shown, _ := p.redact(p.Config, nil).(map[string]any)
	return shown
}

func (p Plugin) redact(value any, path []string) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = p.redact(item, child(path, key))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = p.redact(item, child(path, strconv.Itoa(i)))
		}
		return out
	}
	if p.secret[place(path)] {
		return secret.Redacted
	}
	return value
}

// bare types print as their fields do, without the methods that redact.
type (
	barePlugin Plugin
	bareNATS   NATS
)

func (p Plugin) shown() barePlugin {
	p.Config, p.secret = p.Redacted(), nil
	env := make(map[string]string, len(p.Env))
	for name := range p.Env {
		env[name] = secret.Redacted
	}
	p.Env = env
	return barePlugin(p)
}

// Format prints the plugin, for every verb, without its secrets; all of env
// counts as such.
func (p Plugin) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%+v", p.shown()) }

// MarshalJSON leaves out what Format does.
func (p Plugin) MarshalJSON() ([]byte, error) { return json.Marshal(p.shown()) }

func (n NATS) shown() bareNATS {
	servers := strings.Split(n.URL, ",")
	for i, server := range servers {
		if at := strings.LastIndex(server, "@"); at >= 0 {
			scheme, _, _ := strings.Cut(server, "://")
			servers[i] = scheme + "://" + secret.Redacted + server[at:]
		}
	}
	n.URL = strings.Join(servers, ",")
	return bareNATS(n)
}

// Format prints the settings, for every verb, without the user and password in
// a URL.
func (n NATS) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%+v", n.shown()) }

// MarshalJSON leaves out what Format does.
func (n NATS) MarshalJSON() ([]byte, error) { return json.Marshal(n.shown()) }
