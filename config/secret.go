package config

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"unicode"
	"unique"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// SecretRef is a secret as it was written: a reference (${NAME}, file:…) or the
// secret itself. It shows a reference and redacts everything else. Two are
// equal when the same was written in the same place and the process's own
// environment is used. The zero value is "none".
type SecretRef struct {
	// written is a handle and not a string, so that not even a dump by
	// reflection shows it.
	written unique.Handle[writtenSecret]
	env     *environment
}

type writtenSecret struct{ text, dir string }

// Errors of [SecretRef.Read] for what was read and cannot be a secret.
var (
	errEmptySecret = errors.New("the secret is empty: set its variable, or fill its file")
	errOddSecret   = errors.New("the secret has a line break or another control character in it: write it on one line")
)

func newSecretRef(text, dir string, env *environment) SecretRef {
	return SecretRef{written: unique.Make(writtenSecret{text, dir}), env: env}
}

// IsZero reports whether there is none.
func (r SecretRef) IsZero() bool { return r.text() == "" }

// Read expands the reference: each time anew, so that a file or a variable that
// was rotated is picked up. What it reads is not empty and one line. Its errors
// do not hold the secret.
func (r SecretRef) Read() (secret.Text, error) {
	if r.IsZero() {
		return "", errEmptySecret
	}
	value, _, err := evaluate(r.text(), r.written.Value().dir, r.env)
	switch {
	case err != nil:
		return "", err
	case strings.TrimSpace(value) == "":
		return "", errEmptySecret
	case strings.ContainsFunc(value, unicode.IsControl):
		return "", errOddSecret
	}
	return secret.Text(value), nil
}

func (r SecretRef) text() string {
	if r.written == (unique.Handle[writtenSecret]{}) {
		return ""
	}
	return r.written.Value().text
}

// plainReference has no part in which a secret could stand.
var plainReference = regexp.MustCompile(`^(file:([^$]|\$\{[A-Za-z0-9_]+\})+|\$\{[A-Za-z0-9_]+\})$`)

// String returns a reference as it was written, [redacted] for anything else,
// and nothing for none.
func (r SecretRef) String() string {
	text := r.text()
	if plainReference.MatchString(text) {
		return text
	}
	return secret.Text(text).String()
}

// GoString is String, so that %#v shows nothing more.
func (r SecretRef) GoString() string { return r.String() }

// MarshalText makes encoders write what String returns.
func (r SecretRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LogValue makes log/slog write what String returns.
func (r SecretRef) LogValue() slog.Value { return slog.StringValue(r.String()) }
