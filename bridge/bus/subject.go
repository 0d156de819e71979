package bus

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// subjects names everything on NATS that is ours. Account and conversation are
// one token each, a type as many as it has parts.
type subjects struct{ prefix string }

func (s subjects) event(e event.Event) string {
	kind := ".event."
	if e.Type.Live() {
		kind = ".live."
	}
	return s.prefix + kind + token(e.Account) + "." + token(e.Conversation) + "." + typeTokens(e.Type)
}

// events selects an account's stored events by pattern. Empty account or
// conversation: all of them.
func (s subjects) events(account, conversation string, p event.Pattern) string {
	return s.prefix + ".event." + tokenOrAny(account) + "." + tokenOrAny(conversation) + "." + patternTokens(p)
}

// stored selects what of accounts and patterns is in the stream: typing is not.
func (s subjects) stored(accounts []string, patterns []event.Pattern) (filter []string) {
	for _, account := range accounts {
		for _, p := range patterns {
			if !event.Type(p).Live() && p != "typing.*" {
				filter = append(filter, s.events(account, "", p))
			}
		}
	}
	return filter
}

func (s subjects) live(account, conversation string, p event.Pattern) string {
	return s.prefix + ".live." + tokenOrAny(account) + "." + tokenOrAny(conversation) + "." + patternTokens(p)
}

// EventTemplate and QueueTemplate are the subjects as telemetry shows them,
// with names for what is not bounded.
func (b *Bus) EventTemplate() string {
	return b.subjects.prefix + ".event.{account}.{conversation}.{type}"
}

// QueueTemplate is that of the outbox's queue.
func (b *Bus) QueueTemplate() string {
	return b.subjects.prefix + ".queue.{account}.{conversation}.{type}"
}

func (s subjects) action() string { return s.actionHead() + ">" }

func (s subjects) actionHead() string { return s.prefix + ".action." }

// botActions is where a bot's actions arrive, of which its NATS account maps
// what it publishes as anybody does.
func (s subjects) botActions(bot string) string { return s.botHead(bot) + "*.*.*" }

func (s subjects) botHead(bot string) string { return s.prefix + ".bot." + bot + "." }

func (s subjects) queue(a event.Action) string {
	return s.prefix + ".queue." + token(a.Account) + "." + token(a.Conversation) + "." + string(a.Type)
}

func (s subjects) queued(account string) string { return s.prefix + ".queue." + token(account) + ".>" }

func (s subjects) ledger(account, sender, id string) string {
	return s.prefix + ".ledger." + token(account) + "." + sender + "." + token(id)
}

// ledgers selects an account's entries.
func (s subjects) ledgers(account string) string {
	return s.prefix + ".ledger." + token(account) + ".>"
}

func (s subjects) dead(owner, account, conversation string) string {
	return s.prefix + ".dead." + owner + "." + token(account) + "." + token(conversation)
}

// again is where an event waits to be delivered once more to one feed.
func (s subjects) again(plugin, feed, account, conversation string) string {
	return s.prefix + ".again." + plugin + "." + feed + "." + token(account) + "." + token(conversation)
}

// agains selects what waits so. An empty feed, account or conversation: all.
func (s subjects) agains(plugin, feed, account, conversation string) string {
	return s.prefix + ".again." + plugin + "." + tokenOrAny(feed) + "." + tokenOrAny(account) + "." + tokenOrAny(conversation)
}

func (s subjects) quarantine(account string) string {
	return s.prefix + ".quarantine." + token(account)
}

func (s subjects) state(account string) string { return s.prefix + ".state." + token(account) }

// padding is in the events' stream and belongs to no account.
func (s subjects) padding() string { return s.prefix + ".event." + none + ".padding" }

// position is where a feed's place is kept.
func (s subjects) position(consumer string) string {
	return s.prefix + ".state." + none + "." + consumer
}

// replay is where it is kept how far a replay to a feed has come.
func (s subjects) replay(plugin, feed string) string {
	return s.prefix + ".state." + none + ".again." + plugin + "." + feed
}

// parseAction reads account, conversation and type off an action's subject,
// which begins with head.
func (s subjects) parseAction(subject, head string) (account, conversation string, t event.ActionType, err error) {
	rest, ok := strings.CutPrefix(subject, head)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return "", "", "", fmt.Errorf("subject %q is not %s{account}.{conversation}.{type}", subject, head)
	}
	if account, err = untoken(parts[0]); err == nil {
		conversation, err = untoken(parts[1])
	}
	if err != nil {
		return "", "", "", fmt.Errorf("subject %q: %w", subject, err)
	}
	return account, conversation, event.ActionType(parts[2]), nil
}

// none stands for "no conversation".
const none = "-"

// token makes one subject token of any text: what NATS could not hold, and the
// percent sign itself, is percent-encoded.
func token(s string) string {
	switch s {
	case "":
		return none
	case none:
		return "%2D"
	}
	if !strings.ContainsFunc(s, unsafeInToken) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; unsafeInToken(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unsafeInToken(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '.' || r == '*' || r == '>' || r == '%'
}

func tokenOrAny(s string) string {
	if s == "" {
		return "*"
	}
	return token(s)
}

func untoken(s string) (string, error) {
	if s == none {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("token %q ends in the middle of an escape", s)
		}
		v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("token %q has a bad escape", s)
		}
		b.WriteByte(byte(v))
		i += 2
	}
	return b.String(), nil
}

// typeTokens keeps the dots of a well-formed type as token separators. Any
// other is one token.
func typeTokens(t event.Type) string {
	for part := range strings.SplitSeq(string(t), ".") {
		if part == "" || strings.ContainsFunc(part, unsafeInToken) {
			return token(string(t))
		}
	}
	return string(t)
}

func patternTokens(p event.Pattern) string {
	if p == "*" {
		return ">"
	}
	if kind, ok := strings.CutSuffix(string(p), ".*"); ok {
		return typeTokens(event.Type(kind)) + ".>"
	}
	return typeTokens(event.Type(p))
}

// durable makes a name that a consumer may have of any text.
func durable(s string) string { return slashes.Replace(token(s)) }

var slashes = strings.NewReplacer("/", "%2F", `\`, "%5C")

// bucketKey makes a key that a bucket may have of any text. It has one dot.
func bucketKey(plugin, key string) string { return plugin + "." + bucketToken(key) }

// timerKey is where a timer is in the bucket. It has two dots.
func timerKey(plugin, key string) string { return plugin + timers + bucketToken(key) }

const timers = ".=timer."

func bucketToken(key string) string {
	var b strings.Builder
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '/':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// keyOf is the plugin's key that a key in the bucket stands for.
func keyOf(plugin, bucketKey string) (key string, ours bool) {
	token, ours := strings.CutPrefix(bucketKey, plugin+".")
	if !ours || strings.Contains(token, ".") {
		return "", false
	}
	return parseBucketToken(token)
}

// timerOf is the key of the plugin's timer that a key in the bucket stands for.
func timerOf(plugin, bucketKey string) (key string, ours bool) {
	token, ours := strings.CutPrefix(bucketKey, plugin+timers)
	if !ours {
		return "", false
	}
	return parseBucketToken(token)
}

func parseBucketToken(token string) (string, bool) {
	key, err := url.PathUnescape(strings.ReplaceAll(token, "=", "%"))
	return key, err == nil && bucketToken(key) == token
}

// oneLine makes a header's value of any text.
func oneLine(s string) string {
	const most = 1024
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
