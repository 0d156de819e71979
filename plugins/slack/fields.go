package slack

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// fieldNames are the fields of a conversation that are posted, in that order.
var fieldNames = []string{"Status", "Priority", "Assignee", "Team", "Labels", "Snoozed until"}

// fields are what a conversation's fields read as; those that are not set are
// left out.
func fields(c event.Conversation) map[string]string {
	f := map[string]string{"Status": c.Status.String(), "Priority": c.Priority.String()}
	if c.AssigneeID != nil {
		f["Assignee"] = fmt.Sprint("agent ", *c.AssigneeID)
	}
	if c.TeamID != nil {
		f["Team"] = fmt.Sprint("team ", *c.TeamID)
	}
	if len(c.Labels) > 0 {
		f["Labels"] = short(strings.Join(c.Labels, ", "))
	}
	if c.SnoozedUntil != nil {
		f["Snoozed until"] = c.SnoozedUntil.UTC().Format("2 Jan 2006 15:04 UTC")
	}
	return f
}

// changes tells what became of a conversation's fields, a line each; before is
// nil where they were not known.
func changes(before, now map[string]string) string {
	var list []string
	for _, name := range fieldNames {
		switch was, is := before[name], now[name]; {
		case was == is:
		case before == nil:
			list = append(list, fmt.Sprintf("%s: *%s*", name, is))
		default:
			list = append(list, fmt.Sprintf("%s: %s → *%s*", name, cmp.Or(was, "none"), cmp.Or(is, "none")))
		}
	}
	return strings.Join(list, "\n")
}
