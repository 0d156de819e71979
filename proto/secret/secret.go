// Package secret has the one type in which Switchboard holds tokens, keys and
// passwords. A secret prints, formats, logs and marshals as [redacted]; the
// text itself is had by Reveal alone, so that every place that uses one can be
// found by that name.
package secret

import (
	"fmt"
	"log/slog"
	"strings"
)

// Redacted is what stands wherever a secret would have been shown.
const Redacted = "[redacted]"

// Text is a secret. The zero value is "no secret". It is safe for concurrent
// use, as a string is.
type Text string

// Reveal returns the secret itself. Pass it to what needs it and nowhere else.
func (t Text) Reveal() string { return string(t) }

// String returns [redacted], or nothing for an empty secret.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return Redacted
}

// GoString is String, so that %#v shows nothing either.
func (t Text) GoString() string { return t.String() }

// Format is String for every verb: %x of a secret is its secret too.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// MarshalText makes encoders (JSON, YAML, TOML) write [redacted].
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue makes log/slog write [redacted].
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Scrub replaces every occurrence of the given secrets in s by [redacted]. It
// is for text that others made (an error of a library, a frame in a debug
// log). Secrets of fewer than four bytes are left alone: they would redact
// half the text and protect nothing.
func Scrub(s string, secrets ...Text) string {
	for _, t := range secrets {
		if len(t) >= 4 {
			s = strings.ReplaceAll(s, string(t), Redacted)
		}
	}
	return s
}
