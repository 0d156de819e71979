package live

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// The colours are the terminal's own sixteen, which fit its background.
var (
	plain  = lipgloss.NewStyle()
	strong = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	busy   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	answer = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
)

func (h Health) style() lipgloss.Style { return [...]lipgloss.Style{good, busy, bad}[h] }

// clean makes text from outside one line of what can be seen: no control
// characters, which could steer the terminal, nor marks that turn the
// direction of what follows.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r == '\u200d': // joins emoji
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// cell is s in exactly width cells, cut with … where it is longer.
func cell(s string, width int) string {
	if width <= 0 {
		return ""
	}
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", width-lipgloss.Width(s))
}

// right is s at the right of width cells.
func right(s string, width int) string {
	if width <= 0 {
		return ""
	}
	s = ansi.Truncate(s, width, "…")
	return strings.Repeat(" ", width-lipgloss.Width(s)) + s
}

// fit cuts a line, styles and all, to width cells.
func fit(s string, width int) string {
	return strings.TrimRight(ansi.Truncate(s, width, "…"), " ")
}

// number is n in a column of seven: in full up to six figures.
func number(n uint64) string {
	switch {
	case n < 1_000_000:
		return fmt.Sprint(n)
	case n < 100_000_000:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1fG", float64(n)/1e9)
}

func optional(n *uint64) string {
	if n == nil {
		return "-"
	}
	return number(*n)
}

// Ago is how long before now t was, in its largest units and at most six
// characters; "-" for the zero time.
func Ago(now, t time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case t.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
