package live

import (
	"slices"
	"time"

	"charm.land/lipgloss/v2"
)

// Types of lines that are not a backend's events.
const (
	typeYou    = "you"
	typeFailed = "failed"
	typeLink   = "link"
	typePlugin = "plugin"
	typeNATS   = "nats"
	typeBridge = "bridge"
)

// kinds are the types in one word each, for where there is no room, with how
// they look.
var kinds = map[string]struct {
	word  string
	style lipgloss.Style
}{
	"conversation.new":     {"opened", strong},
	"conversation.updated": {"updated", faint},
	"message.new":          {"message", plain},
	"message.updated":      {"edited", plain},
	"typing.start":         {"typing", faint},
	"action.confirmed":     {"confirmed", good},
	"action.failed":        {"failed", bad},
	"action.expired":       {"expired", bad},
	typeYou:                {"you", busy},
	typeFailed:             {"failed", bad},
	typeLink:               {"link", busy},
	typePlugin:             {"plugin", busy},
	typeNATS:               {"nats", busy},
	typeBridge:             {"bridge", busy},
}

// eventLines are a heading and the latest events, the newest at the bottom, in
// the room that there is. What is of uncertain width in a terminal, the text of
// people, comes last in its line, so that nothing after it can be out of line.
func (m *model) eventLines(room int) []string {
	head := " " + cell("EVENTS", 10) + cell("CONV", 7) + "WHAT"
	lines := []string{faint.Render(head)}
	if room <= 0 {
		return lines
	}
	if len(m.events) == 0 {
		return append(lines, faint.Render(" nothing yet"))
	}
	for _, e := range m.latest(room) {
		lines = append(lines, m.event(e))
	}
	return lines
}

const (
	// noticed is how long a line about the bridge itself, or about a key, is
	// not displaced by lines of customers, so that it can be read.
	noticed = 10 * time.Second
	// roomy is how many lines of events are enough to show even what says the
	// same as another: that an action was confirmed, which is when it is seen
	// among the events.
	roomy = 12
)

// latest is what there is room for, in order. Of what was noticed a little ago
// it keeps as much as fills half of that.
func (m *model) latest(room int) []Event {
	notice := func(e Event) bool { return e.ID == "" }
	kept := 0
	for _, e := range m.events {
		if notice(e) && m.now.Sub(e.Time) <= noticed {
			kept++
		}
	}
	kept = min(kept, (room+1)/2)
	others := room - kept
	var list []Event
	for _, e := range slices.Backward(m.events) {
		switch {
		case room < roomy && e.Type == "action.confirmed":
			continue
		case notice(e) && kept > 0:
			kept--
		case others > 0:
			others--
		default:
			continue
		}
		list = append(list, e)
	}
	slices.Reverse(list)
	return list
}

// kindWidth has room for the type in full, where there is room.
func (m *model) kindWidth() int {
	if m.width >= wide {
		return 22
	}
	return 11
}

func (m *model) event(e Event) string {
	k, ok := kinds[e.Type]
	switch {
	case !ok || m.width >= wide:
		k.word = clean(e.Type)
	case e.Answer:
		k.word = "answer"
	}
	if e.Answer {
		k.style = answer
	}
	conversation := ""
	if e.Conversation != "" {
		conversation = "#" + clean(e.Conversation)
	}
	line := " " + faint.Render(cell(e.Time.Local().Format("15:04:05"), 10)) + cell(conversation, 7) +
		k.style.Render(cell(k.word, m.kindWidth()))
	text := clean(e.Text)
	switch {
	case e.Answer:
		return line + answer.Render(text)
	case e.Type == "conversation.updated":
		return line + faint.Render(text)
	}
	return line + text
}
