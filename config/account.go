package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAccountName bounds what ends up in subjects, in bytes.
const maxAccountName = 128

// completed returns the account with its URLs in one form.
func (a Account) completed() Account {
	a.WSURL, a.APIURL = normalURL(a.WSURL), normalURL(a.APIURL)
	if rest, ok := strings.CutPrefix(a.WSURL, "ws"); ok && a.APIURL == "" {
		a.APIURL = "http" + rest
	}
	return a
}

// normalURL returns the URL with its scheme in lower case and without a slash
// at its end.
func normalURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	return strings.ToLower(scheme) + "://" + strings.TrimRight(rest, "/")
}

var (
	schemeWord = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`) // RFC 9110, token
	// bareReference is what a shell would expand, and no token looks like.
	bareReference = regexp.MustCompile(`^\$[A-Z_][A-Z0-9_]*$`)
	notInName     = regexp.MustCompile(`[^A-Z0-9]+`)
)

// TokenVariable is the variable that an account's token is best kept in.
func TokenVariable(account string) string { return variable("ACCOUNT", account, "TOKEN") }

func variable(kind, name, secret string) string {
	return strings.TrimSuffix(kind+"_"+strings.Trim(notInName.ReplaceAllString(strings.ToUpper(name), "_"), "_"), "_") + "_" + secret
}

func (a Account) validate(s scope, name string, connectors []string) {
	if name == "" || len(name) > maxAccountName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		s.problem("an account's name has 1 to %d bytes and no control characters", maxAccountName)
	}
	if at := s.at("connector"); connectors != nil && !slices.Contains(connectors, a.Connector) {
		at.problem("%s is no connector: %s", at.show(a.Connector), Hint(a.Connector, connectors))
	}
	a.validateURLs(s)
	if a.Token.IsZero() {
		s.at("token").problem("is missing: write token: ${%s} and set that variable, or token: file:/run/secrets/token", TokenVariable(name))
	} else if bareReference.MatchString(a.Token.text()) {
		s.at("token").problem("is a variable's name without braces, which is not expanded: write ${NAME}")
	}
	if at := s.at("auth_scheme"); !schemeWord.MatchString(a.AuthScheme) {
		at.problem("%s is not one word: write Token or Bearer", at.show(a.AuthScheme))
	}
	if a.MessageType < 0 || a.MessageType > 3 {
		s.at("message_type").problem("must be 0 (incoming), 1 (outgoing), 2 (activity) or 3 (template)")
	}
	if a.Self != (Self{}) && (a.Self.SenderType == "" || a.Self.SenderID <= 0) {
		s.at("self").problem("is half said: write both, such as {sender_type: User, sender_id: 3}, or leave self out")
	}
	a.validateTimes(s)
	a.validateOutbox(s)
}

func (a Account) validateURLs(s scope) {
	at := s.at("ws_url")
	if a.WSURL == "" {
		at.problem("is missing: write ws_url: wss:// and the backend's host")
	} else {
		checkBase(at, a.WSURL, "ws", "wss")
	}
	// Made of ws_url it is as good as that, whose problem is said already.
	if at = s.at("api_url"); a.APIURL != "" && "http"+strings.TrimPrefix(a.WSURL, "ws") != a.APIURL {
		checkBase(at, a.APIURL, "http", "https")
	}
}

// checkBase checks a URL to which paths and parameters are added.
func checkBase(s scope, text string, schemes ...string) {
	switch u := checkURL(s, text, schemes...); {
	case u == nil:
	case u.User != nil:
		s.problem("must not hold a user or a password: the token authenticates")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		s.problem("must end before any ? or #: what belongs there is added to it")
	}
}

func (a Account) validateTimes(s scope) {
	checkPositive(s.at("reconnect", "initial"), a.Reconnect.Initial)
	checkPositive(s.at("reconnect", "max"), a.Reconnect.Max)
	if a.Reconnect.Initial > a.Reconnect.Max && a.Reconnect.Max > 0 {
		s.at("reconnect", "initial").problem("is longer than max: write one that is not")
	}
	if a.Reconnect.Attempts < 0 {
		s.at("reconnect", "attempts").problem("must not be negative: write 0 for attempts without end")
	}
	checkPositive(s.at("heartbeat", "interval"), a.Heartbeat.Interval)
	checkPositive(s.at("heartbeat", "timeout"), a.Heartbeat.Timeout)
	checkPositive(s.at("reconcile", "interval"), a.Reconcile.Interval)
	checkPositive(s.at("reconcile", "sweep"), a.Reconcile.Sweep)
	checkPositive(s.at("reconcile", "depth"), a.Reconcile.Depth)
	checkPositive(s.at("recycle"), a.Recycle)
	if a.Backfill.Since < 0 {
		s.at("backfill", "since").problem("must not be negative: write how far back to go, such as 24h, or 0s for nothing")
	}
	if a.Reconcile.Rate <= 0 {
		s.at("reconcile", "rate").problem("must be more than 0 requests a second")
	}
}

func (a Account) validateOutbox(s scope) {
	for key, value := range map[string]int64{
		"waiting": int64(a.Outbox.Waiting), "waiting_per_sender": int64(a.Outbox.WaitingPerSender),
		"bytes": int64(a.Outbox.Bytes), "attempts": int64(a.Outbox.Attempts),
	} {
		if value <= 0 {
			s.at("outbox", key).problem("must be more than 0")
		}
	}
	if a.Outbox.Rate < 0 {
		s.at("outbox", "rate").problem("must not be negative: write 0 for as many as there are")
	}
	if a.Loop.Turns <= 0 {
		s.at("loop", "turns").problem("must be more than 0")
	}
	checkPositive(s.at("loop", "within"), a.Loop.Within)
	for key, may := range map[string]struct {
		value string
		words []string
	}{"confirm": {a.Confirm, []string{"echo", "none"}}, "unclear": {a.Unclear, []string{"fail", "resend"}}} {
		if at := s.at(key); !slices.Contains(may.words, may.value) {
			at.problem("%s is not one of %s", at.show(may.value), strings.Join(may.words, ", "))
		}
	}
}
