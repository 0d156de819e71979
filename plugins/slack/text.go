package slack

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack/slackutilsx"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// How much is shown of what others wrote, in characters. Slack advises texts
// of at most 4,000 (https://docs.slack.dev/reference/methods/chat.postMessage)
// and cuts them at 40,000 without a word.
const (
	maxQuote = 3000
	maxShort = 120
)

// title is the first line of a thread.
func title(e event.Event) string {
	if e.Conversation == "" {
		return "*Account " + short(e.Account) + "*"
	}
	return fmt.Sprintf("*Conversation %s* · account %s", short(e.Conversation), short(e.Account))
}

// late marks an event that was missed and fetched later: it stands below what
// is newer.
func late(e event.Event) string {
	if !e.Replayed {
		return ""
	}
	return "\n_of " + e.Time.UTC().Format("2 Jan 2006 15:04 UTC") + ", fetched later_"
}

func messageNew(t *thread, m event.Message, by string) string {
	return writer(t, m.SenderType, m.SenderID, by) + ":\n" + quote(m.Content)
}

func messageUpdated(t *thread, m event.Message, by string) string {
	head := fmt.Sprintf("%s, message %d is changed", writer(t, m.SenderType, m.SenderID, by), m.ID)
	if m.Status != "" {
		head += " (" + short(m.Status) + ")"
	}
	return head + ":\n" + quote(m.Content)
}

// conversationNew tells who it is with and how it stands, and the message that
// it began with where nothing else will.
func conversationNew(t *thread, c event.Conversation, withMessage bool) string {
	now := fields(c)
	t.Contact, t.Seen = short(c.Contact.Name), now
	who := cmp.Or(t.Contact, "a customer without a name")
	for _, at := range []string{c.Contact.Email, c.Contact.PhoneNumber} {
		if at != "" {
			who += ", " + short(at)
		}
	}
	text := "*New conversation* with " + who + "\n" + changes(nil, now)
	if last := c.LastMessage; withMessage && last != nil {
		text += "\n" + writer(t, last.SenderType, last.SenderID, "") + ":\n" + quote(last.Content)
	}
	return text
}

// conversationUpdated tells what changed since the last post. Most updates
// change only what a message changes by itself (unread count, last activity):
// there is nothing to tell then.
func conversationUpdated(t *thread, c event.Conversation, by string) string {
	now := fields(c)
	text := changes(t.Seen, now)
	t.Contact, t.Seen = short(c.Contact.Name), now
	if text != "" && by != "" {
		text += "\n(by " + short(by) + ")"
	}
	return text
}

func actionResult(t event.Type, a event.ActionResult) string {
	became := strings.TrimPrefix(string(t), "action.")
	text := fmt.Sprintf("*%s* of %s: %s", short(string(a.Type)), short(a.By), short(became))
	if t == event.ActionFailed || t == event.ActionExpired {
		text = ":warning: " + text
	}
	if a.Reason != "" {
		text += "\n" + quote(a.Reason)
	}
	return text
}

func other(t event.Type) string { return "Event *" + short(string(t)) + "*" }

// writer says who wrote a message.
func writer(t *thread, senderType string, id *int64, by string) string {
	var who string
	switch senderType {
	case event.SenderContact:
		who = strings.TrimSpace("*Customer* " + t.Contact)
	case "User":
		who = "*Agent*" + number(id)
	case "AgentBot":
		who = "*Bot*" + number(id)
	default:
		who = "*" + cmp.Or(short(senderType), "Somebody") + "*" + number(id)
	}
	if by != "" {
		who += " (" + short(by) + ")"
	}
	return who
}

func number(id *int64) string {
	if id == nil {
		return ""
	}
	return fmt.Sprintf(" %d", *id)
}

// short is text of others for one line: escaped, and cut after maxShort.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxShort {
		s = string([]rune(s)[:maxShort-1]) + "…"
	}
	return slackutilsx.EscapeMessage(s)
}

var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n")

// quote is text of others as a block quote: escaped as Slack wants it
// (https://docs.slack.dev/messaging/formatting-message-text#escaping), each of
// its lines quoted, and cut where it is too long, which it says.
func quote(s string) string {
	s = strings.TrimSpace(lines.Replace(s))
	if s == "" {
		return ">_no text_"
	}
	var b strings.Builder
	b.WriteByte('>')
	room := maxQuote
	for i, r := range s {
		piece := slackutilsx.EscapeMessage(string(r))
		if r == '\n' {
			piece = "\n>"
		}
		if room -= utf8.RuneCountInString(piece); room < 0 {
			fmt.Fprintf(&b, "…\n_%d more characters are not shown_", utf8.RuneCountInString(s[i:]))
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}
