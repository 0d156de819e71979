package live

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// The columns are the same in all sections, so that names and states stand
// under one another. All widths have the gap after them.
const (
	margin    = 1
	nameWidth = 21
	// wide is from where on tables have their further columns.
	wide = 110
	// fewEvents is how many lines of events are worth more than air and the
	// last of the rows above.
	fewEvents = 4
)

func (m *model) View() tea.View {
	v := tea.NewView(m.render())
	v.AltScreen = true
	v.WindowTitle = "Switchboard"
	return v
}

// render is the screen: at most height lines of at most width cells.
func (m *model) render() string {
	if m.width <= 0 || m.height <= 0 {
		return ""
	}
	body := max(0, m.height-1)
	sections := [][]string{append([]string{m.title()}, m.links()...)}
	if m.known {
		sections = append(sections, m.plugins(), m.counts())
	}
	used := 1 // the heading of the events
	for _, s := range sections {
		used += len(s)
	}
	air := len(sections)
	if body-used-air < fewEvents {
		air = 0
	}
	var lines []string
	for _, s := range sections {
		lines = append(lines, s...)
		if air > 0 {
			lines = append(lines, "")
		}
	}
	lines = append(lines, m.eventLines(body-used-air)...)
	lines = lines[:min(len(lines), body)]
	for len(lines) < body {
		lines = append(lines, "")
	}
	lines = append(lines, m.help())
	for i, l := range lines {
		lines[i] = fit(l, m.width)
	}
	return strings.Join(lines, "\n")
}

// title is the first line: what is watched, and at the right since when.
func (m *model) title() string {
	what := strong.Render("Switchboard") + "  " + clean(m.status.Title)
	var notes []string
	switch {
	case m.trouble != "":
		notes = append(notes, bad.Render("no answer: "+clean(m.trouble)))
	case !m.known:
		notes = append(notes, faint.Render("…"))
	}
	if m.status.Note != "" {
		notes = append(notes, busy.Render(clean(m.status.Note)))
	}
	if !m.status.Since.IsZero() {
		notes = append(notes, faint.Render("up "+Ago(m.now, m.status.Since)))
	}
	return m.ends(what, strings.Join(notes, "  "))
}

// ends sets one text at the left and one at the right of a line. What is at
// the right stays, and what is at the left is cut.
func (m *model) ends(l, r string) string {
	room := m.width - 2*margin
	r = fit(r, room)
	return " " + cell(l, room-lipgloss.Width(r)-2) + "  " + r
}

// state is a state with its colour, in a column of its own.
func state(h Health, text string) string {
	return h.style().Render("● " + cell(clean(text), stateWidth-2))
}

const stateWidth = 14

func name(s string) string { return " " + cell(clean(s), nameWidth-1) + " " }

// links are a line for each account's link and one for NATS.
func (m *model) links() []string {
	if !m.known {
		return nil
	}
	var lines []string
	// A bridge with many accounts shows the ones that need attention, and how
	// many others there are.
	shown, rest := pick(m.status.Links, max(1, m.height/8), func(l Link) bool { return l.Health != Good })
	for _, l := range shown {
		line := name("link "+l.Account) + state(l.Health, l.State) + right(Ago(m.now, l.Since), 6) + "  "
		if m.width >= wide {
			line += cell("connected "+times(uint64(max(0, l.Connections))), 20) + cell(number(l.Waiting)+" waiting", 15)
		}
		if l.Failed > 0 {
			line += bad.Render(number(l.Failed)+" failed") + "  "
		}
		lines = append(lines, line+faint.Render(clean(l.Reason)))
	}
	if rest > 0 {
		lines = append(lines, name("")+faint.Render(fmt.Sprintf("and %d more links", rest)))
	}
	n := m.status.NATS
	health, text := Good, "connected"
	if !n.Connected {
		health, text = Bad, "disconnected"
	}
	where := clean(n.Where)
	if n.Reconnects > 0 {
		where += ", lost " + times(n.Reconnects)
	}
	return append(lines, name("nats")+state(health, text)+strings.Repeat(" ", 8)+faint.Render(where))
}

// plugins is a table.
func (m *model) plugins() []string {
	if len(m.status.Plugins) == 0 {
		return []string{faint.Render(" no plugins: add one under plugins: in the configuration")}
	}
	both := m.status.Plugins[0].Due != nil
	head := name("PLUGIN") + cell("STATE", stateWidth) + right("LAG", 5)
	if both {
		head += right("DUE", 7) + right("DONE", 7) + right("RECEIVER", 9)
	} else {
		head += right("DONE", 7) + right("ACTIONS", 8) + right("RETRIED", 8)
	}
	head += right("DEAD", 6) + right("RESTARTS", 10)
	if m.width >= wide {
		head += right("SINCE", 8) + right("PID", 9) + "  REASON"
	}
	lines := []string{faint.Render(head)}
	shown, rest := pick(m.status.Plugins, max(3, m.height/5), func(p Plugin) bool { return p.Health != Good })
	for _, p := range shown {
		line := name(p.Name) + state(p.Health, p.State) + right(number(p.lag()), 5)
		if both {
			line += right(optional(p.Due), 7) + right(number(p.Delivered), 7) + right(optional(p.Receiver), 9)
		} else {
			line += right(number(p.Delivered), 7) + right(number(p.Actions), 8) + right(number(p.Retried), 8)
		}
		dead := plain
		if p.Dead > 0 {
			dead = bad
		}
		line += dead.Render(right(number(p.Dead), 6)) + right(fmt.Sprint(p.Restarts), 10)
		if m.width >= wide {
			pid := "-"
			if p.PID > 0 {
				pid = fmt.Sprint(p.PID)
			}
			line += right(Ago(m.now, p.Since), 8) + right(pid, 9) + "  " + faint.Render(clean(p.Reason))
		}
		lines = append(lines, line)
	}
	if rest > 0 {
		lines = append(lines, name("")+faint.Render(fmt.Sprintf("and %d more plugins", rest)))
	}
	return lines
}

// pick is the items that there is room for, those that matter first of all,
// in their order, and how many are left out.
func pick[T any](list []T, room int, matters func(T) bool) ([]T, int) {
	if len(list) <= room {
		return list, 0
	}
	room-- // for the line that says so
	important := 0
	for _, x := range list {
		if matters(x) {
			important++
		}
	}
	others := max(0, room-important)
	var shown []T
	for _, x := range list {
		if len(shown) == room {
			break
		}
		switch {
		case matters(x):
			shown = append(shown, x)
		case others > 0:
			shown = append(shown, x)
			others--
		}
	}
	return shown, len(list) - len(shown)
}

const countWidth, rateWidth = 9, 9

// counts is a table of both ends side by side, with the rates as charts.
func (m *model) counts() []string {
	chart := m.width - margin - nameWidth - len(m.status.Ends)*countWidth - rateWidth - 3
	head := name("COUNTED BY")
	for _, e := range m.status.Ends {
		head += right(e, countWidth)
	}
	head += right("RATE", rateWidth)
	if span := fmt.Sprintf("LAST %d S", chart); len(span) <= chart {
		head += "  " + right(span, chart)
	}
	lines := []string{faint.Render(head)}
	for _, c := range m.status.Counts {
		line := name(c.Name)
		for i := range m.status.Ends {
			text := ""
			if i < len(c.Cells) {
				text = optional(c.Cells[i])
			}
			line += right(text, countWidth)
		}
		s := m.series[c.Name]
		rate := "-"
		if r, ok := s.rate(); ok {
			rate = fmt.Sprintf("%.1f/s", r)
		}
		line += right(rate, rateWidth) + "  " + answer.Render(s.chart(chart))
		lines = append(lines, line)
	}
	return lines
}

// help is the last line.
func (m *model) help() string {
	if m.o.In == nil {
		return " " + strong.Render("Ctrl-C") + " " + faint.Render("quit")
	}
	var parts []string
	for _, k := range append(m.o.Keys[:len(m.o.Keys):len(m.o.Keys)], Key{Name: "q", Help: "quit"}) {
		parts = append(parts, strong.Render(k.Name)+" "+faint.Render(k.Help))
	}
	return " " + strings.Join(parts, "   ")
}
