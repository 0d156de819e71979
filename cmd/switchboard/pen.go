package main

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// pen accents what is written to a terminal. To anything else, and where
// NO_COLOR is set (https://no-color.org) or TERM is dumb, it adds nothing.
type pen struct{ on bool }

func newPen(w io.Writer) pen {
	return pen{os.Getenv("NO_COLOR") == "" && isTerminal(w)}
}

// isTerminal reports whether w is one that can more than print.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p pen) dim(s string) string  { return p.in("2", s) }
func (p pen) good(s string) string { return p.in("32", s) }
func (p pen) warn(s string) string { return p.in("33", s) }
func (p pen) bad(s string) string  { return p.in("31", s) }

// state is the state of a link or a plugin.
func (p pen) state(s string) string {
	switch s {
	case string(link.Connected), string(host.Running):
		return p.good(s)
	case string(link.Disconnected), string(link.Error), string(host.Refused), string(host.CrashLooping), string(host.Stopped):
		return p.bad(s)
	}
	return p.warn(s)
}

func (p pen) in(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// plain is s without what a terminal would obey instead of showing it: a
// customer's message must not move the cursor, nor turn the line around.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069: // directions
			return -1
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// cells is how many columns of a terminal s takes. What a pen added takes none.
func cells(s string) int {
	n, code := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b' || code:
			code = r != 'm'
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		default:
			n++
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
				n++
			}
		}
	}
	return n
}
