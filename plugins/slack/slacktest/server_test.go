package slacktest_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/plugins/slack/slacktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T) (*slacktest.Server, *slack.Client) {
	t.Helper()
	stand := slacktest.New("xoxb-1")
	server := httptest.NewServer(stand)
	t.Cleanup(server.Close)
	return stand, slack.New("xoxb-1", slack.OptionAPIURL(server.URL+"/api/"), slack.OptionHTTPClient(server.Client()))
}

// The client of slack-go is what says whether the answers are Slack's.
func TestTheStandInKeepsThreads(t *testing.T) {
	stand, client := serve(t)
	ctx := t.Context()
	if who, err := client.AuthTestContext(ctx); err != nil || who.BotID != "B1" {
		t.Fatalf("auth.test = %+v, %v", who, err)
	}
	channel, root, err := client.PostMessageContext(ctx, "#a", slack.MsgOptionText("one", false))
	if err != nil {
		t.Fatal(err)
	}
	_, reply, message, err := client.PostMessageWithResponseContext(ctx, channel, slack.MsgOptionText("two", false), slack.MsgOptionTS(root))
	if err != nil || message.ThreadTimestamp != root {
		t.Fatalf("reply = %+v, %v", message, err)
	}
	for _, ts := range []string{root, reply} {
		if _, _, _, err := client.UpdateMessageContext(ctx, channel, ts, slack.MsgOptionText("edited", false)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := client.UpdateMessageContext(ctx, channel, "9.9", slack.MsgOptionText("x", false)); err == nil || err.Error() != "message_not_found" {
		t.Errorf("update of nothing = %v", err)
	}
	got := stand.Messages("a")
	if len(got) != 1 || !got[0].Edited || got[0].Text != "edited" || len(got[0].Replies) != 1 || got[0].Replies[0].Text != "edited" || got[0].Replies[0].ThreadTS != root {
		t.Errorf("messages = %+v", got)
	}
	stand.Delete("#a", root)
	_, _, message, err = client.PostMessageWithResponseContext(ctx, channel, slack.MsgOptionText("three", false), slack.MsgOptionTS(root))
	if err != nil || message.ThreadTimestamp != "" || message.Timestamp == "" {
		t.Errorf("reply to a deleted message = %+v, %v", message, err)
	}
	want := slacktest.Stats{Requests: 7, Threads: 2, Replies: 1, Updates: 2}
	if got := stand.Stats(); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
}

func TestTheStandInFailsAsTold(t *testing.T) {
	stand, client := serve(t)
	post := func() string {
		_, _, err := client.PostMessageContext(t.Context(), "C1", slack.MsgOptionText("x", false))
		if err != nil {
			return err.Error()
		}
		return ""
	}
	stand.RateLimit(1, 3*time.Second)
	stand.FailNext(1, 502)
	for _, want := range []string{"retry after 3s", "502", ""} {
		if got := post(); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("error = %q, want %q", got, want)
		}
	}
	stand.Refuse("is_archived")
	if got := post(); got != "is_archived" {
		t.Errorf("error = %q", got)
	}
	stand.Refuse("")
	if got := post(); got != "" {
		t.Errorf("error = %q", got)
	}
	want := slacktest.Stats{Requests: 5, Threads: 2, RateLimited: 1, Failed: 1, Refused: 1}
	if got := stand.Stats(); got != want {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
}

func TestTheStandInChecksTheToken(t *testing.T) {
	stand := slacktest.New("xoxb-1")
	server := httptest.NewServer(stand)
	defer server.Close()
	for token, want := range map[string]string{"xoxb-2": "invalid_auth", "": "not_authed"} {
		client := slack.New(token, slack.OptionAPIURL(server.URL+"/"), slack.OptionHTTPClient(server.Client()))
		if _, err := client.AuthTestContext(t.Context()); err == nil || err.Error() != want {
			t.Errorf("token %q: error = %v, want %s", token, err, want)
		}
	}
	if got := stand.Stats(); got.Unauthorized != 2 {
		t.Errorf("stats = %+v", got)
	}
}

func TestTheStandInIsAnIncomingWebhook(t *testing.T) {
	stand := slacktest.New("")
	server := httptest.NewServer(stand)
	defer server.Close()
	post := func(text string) error {
		return slack.PostWebhookCustomHTTPContext(t.Context(), server.URL+"/services/T/B/x", server.Client(), &slack.WebhookMessage{Text: text})
	}
	if err := post("hello"); err != nil {
		t.Fatal(err)
	}
	if err := post(""); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("error = %v", err)
	}
	if got := stand.Messages(slacktest.Webhook); len(got) != 1 || got[0].Text != "hello" {
		t.Errorf("messages = %+v", got)
	}
}
