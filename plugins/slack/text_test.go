package slack

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestQuote(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"one line", "hello", ">hello"},
		{"several lines are quoted each", "a\nb\r\nc\rd\u2028e", ">a\n>b\n>c\n>d\n>e"},
		{"what Slack would read as markup is escaped", "<!channel> & <@U1>", ">&lt;!channel&gt; &amp; &lt;@U1&gt;"},
		{"no text says so", " \n ", ">_no text_"},
		{"broken UTF-8 is mended", "a\xffb", ">a\ufffdb"},
		{"what fits is whole", strings.Repeat("é", maxQuote), ">" + strings.Repeat("é", maxQuote)},
		{"what does not fit is cut, and says so", strings.Repeat("é", maxQuote+5), ">" + strings.Repeat("é", maxQuote) + "…\n_5 more characters are not shown_"},
		{"an escape is not cut in the middle", strings.Repeat("x", maxQuote-2) + "&y", ">" + strings.Repeat("x", maxQuote-2) + "…\n_2 more characters are not shown_"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := quote(tt.text); got != tt.want {
				t.Errorf("quote = %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a\n>b", "<!here>", "&&&", "\xff\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := quote(s)
		switch body := strings.ReplaceAll(got, "\n>", "\n")[1:]; {
		case !strings.HasPrefix(got, ">"):
			t.Errorf("%q is no quote", got)
		case strings.ContainsAny(body, "<>"):
			t.Errorf("%q has markup", got)
		case utf8.RuneCountInString(got) > maxQuote+100:
			t.Errorf("%d characters", utf8.RuneCountInString(got))
		}
		for _, line := range strings.Split(got, "\n") {
			if !strings.HasPrefix(line, ">") && !strings.HasSuffix(line, "more characters are not shown_") {
				t.Errorf("line %q is not quoted", line)
			}
		}
	})
}

func TestShortIsOneEscapedLine(t *testing.T) {
	if got := short(" Ada\n*Agent 3*:  <b> "); got != "Ada *Agent 3*: &lt;b&gt;" {
		t.Errorf("short = %q", got)
	}
	if got := short(strings.Repeat("é", 500)); utf8.RuneCountInString(got) != maxShort || !strings.HasSuffix(got, "…") {
		t.Errorf("short = %q", got)
	}
}

func ptr[T any](v T) *T { return &v }

func TestTexts(t *testing.T) {
	ada := event.Contact{Name: "Ada <Lovelace>", Email: "ada@example.com", PhoneNumber: "+44 1"}
	at := time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)
	conversation := event.Conversation{
		ID: 42, Status: event.StatusResolved, Priority: event.PriorityUrgent, Contact: ada, AssigneeID: ptr(int64(3)),
		LastMessage: &event.LastMessage{Content: "hi", SenderType: "Contact"},
	}
	seen := map[string]string{"Status": "open", "Priority": "urgent", "Assignee": "agent 3", "Team": "team 1"}
	tests := []struct {
		name string
		text string
		want string
	}{
		{"a customer's message", messageNew(&thread{Contact: "Ada"}, event.Message{Content: "hi", SenderType: "Contact"}, ""), "*Customer* Ada:\n>hi"},
		{"a customer whose name is not known", messageNew(&thread{}, event.Message{Content: "hi", SenderType: "Contact"}, ""), "*Customer*:\n>hi"},
		{"an agent's message", messageNew(&thread{Contact: "Ada"}, event.Message{Content: "hi", SenderType: "User", SenderID: ptr(int64(3))}, ""), "*Agent* 3:\n>hi"},
		{"a bot's message of ours", messageNew(&thread{}, event.Message{Content: "hi", SenderType: "AgentBot", SenderID: ptr(int64(5))}, "autoresponder"), "*Bot* 5 (autoresponder):\n>hi"},
		{"a sender of another kind", messageNew(&thread{}, event.Message{Content: "hi", SenderType: "Captain<"}, ""), "*Captain&lt;*:\n>hi"},
		{"a changed message", messageUpdated(&thread{}, event.Message{ID: 17, Content: "hi!", SenderType: "User", Status: "read"}, ""), "*Agent*, message 17 is changed (read):\n>hi!"},
		{"a new conversation", conversationNew(&thread{}, conversation, true),
			"*New conversation* with Ada &lt;Lovelace&gt;, ada@example.com, +44 1\nStatus: *resolved*\nPriority: *urgent*\nAssignee: *agent 3*\n*Customer* Ada &lt;Lovelace&gt;:\n>hi"},
		{"a new conversation whose message is posted by itself", conversationNew(&thread{}, event.Conversation{LastMessage: conversation.LastMessage}, false),
			"*New conversation* with a customer without a name\nStatus: *open*\nPriority: *low*"},
		{"a changed conversation", conversationUpdated(&thread{Seen: seen}, conversation, "operator"),
			"Status: open → *resolved*\nTeam: team 1 → *none*\n(by operator)"},
		{"a changed conversation that was not seen before", conversationUpdated(&thread{}, conversation, ""),
			"Status: *resolved*\nPriority: *urgent*\nAssignee: *agent 3*"},
		{"labels and snooze", conversationUpdated(&thread{Seen: seen}, event.Conversation{Status: event.StatusSnoozed, Priority: event.PriorityUrgent,
			AssigneeID: ptr(int64(3)), TeamID: ptr(int64(1)), Labels: []string{"vip", "a&b"}, SnoozedUntil: &at}, ""),
			"Status: open → *snoozed*\nLabels: none → *vip, a&amp;b*\nSnoozed until: none → *4 Mar 2026 05:06 UTC*"},
		{"a failed action", actionResult(event.ActionFailed, event.ActionResult{Type: event.SendMessage, By: "bot", Reason: "not <sent>"}),
			":warning: *send_message* of bot: failed\n>not &lt;sent&gt;"},
		{"a confirmed action", actionResult(event.ActionConfirmed, event.ActionResult{Type: event.UpdateStatus, By: "bot"}), "*update_status* of bot: confirmed"},
		{"a type that we do not know", other("message.pinned"), "Event *message.pinned*"},
		{"what was fetched later", late(event.Event{Replayed: true, Time: at}), "\n_of 4 Mar 2026 05:06 UTC, fetched later_"},
		{"the title of a thread", title(event.Event{Account: "7", Conversation: "4<2"}), "*Conversation 4&lt;2* · account 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.text != tt.want {
				t.Errorf("text = %q, want %q", tt.text, tt.want)
			}
		})
	}
}
