package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/plugins/slack/slacktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

const token = "xoxb-hunter2"

// start runs the plugin with one rule, for every event, against a stand-in.
func start(t *testing.T) (*sdktest.Line, *slacktest.Server) {
	t.Helper()
	slack := slacktest.New(token)
	return startAt(t, slack), slack
}

func startAt(t *testing.T, slack http.Handler) *sdktest.Line {
	t.Helper()
	server := httptest.NewServer(slack)
	t.Cleanup(server.Close)
	return sdktest.Start(t, Plugin(), fmt.Sprintf(
		`{"token":%q,"api_url":"%s/api/","rules":[{"events":["*"],"channel":"#support"}]}`, token, server.URL))
}

func message(id, conversation int, content string) event.Event {
	return event.Event{
		ID: fmt.Sprint("m", id), Type: event.MessageNew, Account: "7", Conversation: fmt.Sprint(conversation),
		Data: fmt.Appendf(nil, `{"id":%d,"content":%q,"conversation_id":%d,"sender_type":"Contact","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`,
			id, content, conversation),
	}
}

func updated(id string, conversation int, status event.Status) event.Event {
	return event.Event{
		ID: id, Type: event.ConversationUpdated, Account: "7", Conversation: fmt.Sprint(conversation),
		Data: fmt.Appendf(nil, `{"id":%d,"status":%d,"contact":{"id":1,"name":"Ada"},"created_at":"2026-01-01T00:00:00Z","last_activity_at":"2026-01-01T00:00:00Z"}`,
			conversation, status),
	}
}

func deliver(t *testing.T, line *sdktest.Line, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		if out := line.Deliver(e); out.Result != sdktest.Ack {
			t.Fatalf("outcome of %s = %+v", e.ID, out)
		}
	}
}

// outline is a channel as text: a thread a line, with the texts of its replies.
func outline(slack *slacktest.Server, channel string) string {
	var b strings.Builder
	for _, m := range slack.Messages(channel) {
		fmt.Fprintf(&b, "%s", strings.ReplaceAll(m.Text, "\n", "|"))
		for _, r := range m.Replies {
			fmt.Fprintf(&b, " ─ %s", strings.ReplaceAll(r.Text, "\n", "|"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func expect(t *testing.T, slack *slacktest.Server, channel, want string) {
	t.Helper()
	if got := outline(slack, channel); got != strings.TrimLeft(want, "\n") {
		t.Errorf("%s is\n%swant%s", channel, got, want)
	}
}

func TestAConversationHasOneThread(t *testing.T) {
	line, slack := start(t)
	deliver(t, line, message(1, 42, "hello"), message(2, 43, "hi"), message(3, 42, "are you there?"),
		updated("u1", 42, event.StatusPending), updated("u2", 42, event.StatusResolved))
	expect(t, slack, "#support", `
*Conversation 42* · account 7|*Customer*:|>hello ─ *Customer*:|>are you there? ─ Status: *pending*|Priority: *low* ─ Status: pending → *resolved*
*Conversation 43* · account 7|*Customer*:|>hi
`)
}

func TestTheThreadSurvivesARestart(t *testing.T) {
	line, slack := start(t)
	deliver(t, line, updated("u1", 42, event.StatusOpen))
	line.Restart()
	deliver(t, line, message(1, 42, "hello"), updated("u2", 42, event.StatusResolved))
	expect(t, slack, "#support", `
*Conversation 42* · account 7|Status: *open*|Priority: *low* ─ *Customer* Ada:|>hello ─ Status: open → *resolved*
`)
}

func TestThreadsOfAccountsAreApart(t *testing.T) {
	line, slack := start(t)
	other := message(2, 42, "hi")
	other.Account = "8"
	deliver(t, line, message(1, 42, "hello"), other)
	expect(t, slack, "#support", `
*Conversation 42* · account 7|*Customer*:|>hello
*Conversation 42* · account 8|*Customer*:|>hi
`)
}

func TestAnEventThatComesAgainIsPostedOnce(t *testing.T) {
	line, slack := start(t)
	all := []event.Event{message(1, 42, "a"), updated("u1", 42, event.StatusOpen), updated("u2", 42, event.StatusResolved), message(2, 42, "b")}
	deliver(t, line, all...)
	line.Restart() // as when a feed is reset: what was done above its floor comes again
	deliver(t, line, all...)
	if got := slack.Stats(); got.Threads != 1 || got.Replies != 3 {
		t.Errorf("stats = %+v", got)
	}
}

func TestAnUpdateWithNothingToTellIsNotPosted(t *testing.T) {
	line, slack := start(t)
	deliver(t, line, updated("u1", 42, event.StatusOpen), updated("u2", 42, event.StatusOpen))
	if got := slack.Stats(); got.Requests != 1 {
		t.Errorf("stats = %+v", got)
	}
}

func TestADeletedThreadIsFollowedByANewOne(t *testing.T) {
	line, slack := start(t)
	deliver(t, line, message(1, 42, "a"))
	slack.Delete("#support", slack.Messages("#support")[0].TS)
	deliver(t, line, message(2, 42, "b"), message(3, 42, "c"))
	expect(t, slack, "#support", `
*Customer*:|>b ─ *Customer*:|>c
`)
}

func TestALockedThreadIsFollowedByANewOne(t *testing.T) {
	slack := slacktest.New(token)
	locked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("thread_ts") != "" {
			_, _ = w.Write([]byte(`{"ok":false,"error":"restricted_action_thread_locked"}`))
			return
		}
		slack.ServeHTTP(w, r)
	})
	line := startAt(t, locked)
	deliver(t, line, message(1, 42, "a"), message(2, 42, "b"))
	expect(t, slack, "#support", `
*Conversation 42* · account 7|*Customer*:|>a
*Conversation 42* · account 7|*Customer*:|>b
`)
}

// keeping is a plugin that stores the text of a message as what is kept of its
// conversation, and then loads and saves it as a thread.
func keeping(channel string) sdk.Plugin[struct{}] {
	return sdk.Plugin[struct{}]{
		Name: "keeping", Version: "1", Events: []string{"message.new"},
		Configure: func(_ context.Context, h *sdk.Host, _ struct{}) ([]sdk.Feed, error) {
			s := &threads{host: h, rule: "a", channel: channel}
			h.Log = slog.New(slog.DiscardHandler)
			return []sdk.Feed{{Handlers: sdk.Handlers{OnMessageNew: func(ctx context.Context, d *sdk.Delivery, m event.Message) error {
				if err := h.Put(ctx, s.key(d.Event.Account, d.Event.Conversation), []byte(m.Content)); err != nil {
					return err
				}
				t, err := s.load(ctx, d.Event)
				if err != nil {
					return err
				}
				return s.save(ctx, t)
			}}}}, nil
		},
	}
}

func TestWhatIsKeptOfAThread(t *testing.T) {
	tests := []struct {
		name, kept string
		want       thread
	}{
		{"is taken up again", `{"for":"#now","channel":"C1","ts":"1.2","contact":"Ada","posted":["m0"],"later":1}`,
			thread{For: "#now", threadRef: threadRef{"C1", "1.2"}, Contact: "Ada", Posted: []string{"m0"}}},
		{"in another channel is all but the thread", `{"for":"#old","channel":"C1","ts":"1.2","contact":"Ada","posted":["m0"]}`,
			thread{For: "#now", Contact: "Ada", Posted: []string{"m0"}}},
		{"and cannot be read is begun anew", `{"for":`, thread{For: "#now"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := sdktest.Start(t, keeping("#now"), `{}`)
			deliver(t, line, message(1, 42, tt.kept))
			tt.want.Rule, tt.want.Account, tt.want.Conversation = "a", "7", "42"
			for _, data := range line.Store() {
				var got thread
				if err := json.Unmarshal(data, &got); err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("thread = %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}

func TestA429HoldsTheFeedAndLosesNothing(t *testing.T) {
	line, slack := start(t)
	deliver(t, line, message(1, 42, "a"))
	slack.RateLimit(1, 7*time.Second)
	out := line.Deliver(message(2, 42, "b"))
	// A pause, not a retry: a retry counts against the feed's attempts, and
	// lets the other conversations run into the same limit.
	if out.Result != sdktest.Pause || out.After != 7*time.Second || !strings.Contains(out.Reason, "rate limit") {
		t.Fatalf("outcome = %+v", out)
	}
	line.Restart()
	deliver(t, line, message(2, 42, "b"), message(3, 42, "c"))
	expect(t, slack, "#support", `
*Conversation 42* · account 7|*Customer*:|>a ─ *Customer*:|>b ─ *Customer*:|>c
`)
}

func TestABurstThatIsLimitedArrivesWhole(t *testing.T) {
	const n = 20
	slack, answered := slacktest.New(token), make(chan struct{}, 10*n)
	line := startAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slack.ServeHTTP(w, r)
		answered <- struct{}{}
	}))
	slack.RateLimit(1, time.Second)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { line.Deliver(message(i, i, "hello")) })
	}
	all.Wait()
	// The one that met the limit comes again when the pause is over.
	for range n + 1 {
		select {
		case <-answered:
		case <-time.After(10 * time.Second):
			t.Fatalf("stats = %+v", slack.Stats())
		}
	}
	if got := slack.Stats(); got.RateLimited != 1 || got.Threads != n {
		t.Errorf("stats = %+v: all are to arrive, and none to run into the limit behind the first", got)
	}
}

func TestWhatBecomesOfAnError(t *testing.T) {
	answering := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	refusing := func(code string) http.Handler {
		slack := slacktest.New(token)
		slack.Refuse(code)
		return slack
	}
	tests := []struct {
		name  string
		slack http.Handler
		want  sdktest.Result
		after time.Duration
		says  string
	}{
		{"429 without Retry-After", answering(429, ""), sdktest.Pause, 30 * time.Second, "rate limit"},
		{"ratelimited", refusing("ratelimited"), sdktest.Pause, 30 * time.Second, "rate limit"},
		{"500", answering(500, "oops"), sdktest.Retry, 0, "500"},
		{"503", answering(503, "oops"), sdktest.Retry, 0, "503"},
		{"internal_error", refusing("internal_error"), sdktest.Retry, 0, "internal_error"},
		{"an error that we do not know", refusing("brand_new"), sdktest.Retry, 0, "brand_new"},
		{"an answer that is not Slack's", answering(200, "<html>"), sdktest.Retry, 0, "post to Slack"},
		{"an answer that says nothing", answering(200, "{}"), sdktest.Retry, 0, "does not say"},
		{"no answer", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), sdktest.Retry, 0, "EOF"},
		{"another token", slacktest.New("xoxb-other"), sdktest.Pause, recheck, "set a valid bot token"},
		{"account_inactive", refusing("account_inactive"), sdktest.Pause, recheck, "install the app again"},
		{"token_revoked", refusing("token_revoked"), sdktest.Pause, recheck, "install the app again"},
		{"missing_scope", refusing("missing_scope"), sdktest.Pause, recheck, "chat:write"},
		{"missing_scope with the scope", answering(200, `{"ok":false,"error":"missing_scope","needed":"chat:write.public"}`), sdktest.Pause, recheck, "needed: chat:write.public"},
		{"channel_not_found", refusing("channel_not_found"), sdktest.Pause, recheck, "rules[].channel"},
		{"not_in_channel", refusing("not_in_channel"), sdktest.Pause, recheck, "/invite"},
		{"is_archived", refusing("is_archived"), sdktest.Pause, recheck, "unarchive"},
		{"a page that is not there", answering(404, ""), sdktest.Pause, recheck, "api_url"},
		{"a redirect", http.RedirectHandler("https://example.com", http.StatusTemporaryRedirect), sdktest.Pause, recheck, "api_url"},
		{"msg_too_long", refusing("msg_too_long"), sdktest.Reject, 0, "msg_too_long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := startAt(t, tt.slack).Deliver(message(1, 42, "hello"))
			if out.Result != tt.want || out.After != tt.after || !strings.Contains(out.Reason, tt.says) {
				t.Errorf("outcome = %+v, want %s after %s with %q", out, tt.want, tt.after, tt.says)
			}
			if strings.Contains(out.Reason, "hunter2") {
				t.Errorf("reason has the token: %s", out.Reason)
			}
		})
	}
}

func TestSimpleMode(t *testing.T) {
	slack := slacktest.New("")
	server := httptest.NewServer(slack)
	defer server.Close()
	line := sdktest.Start(t, Plugin(), fmt.Sprintf(`{"webhook_url":"%s/services/T/B/hunter2","rules":[{"events":["message.*"]}]}`, server.URL))
	deliver(t, line, message(1, 42, "a"), message(2, 42, "b"))
	line.Restart()
	deliver(t, line, message(2, 42, "b"))
	expect(t, slack, slacktest.Webhook, `
*Conversation 42* · account 7|*Customer*:|>a
*Conversation 42* · account 7|*Customer*:|>b
`)

	tests := []struct {
		name  string
		fail  func()
		want  sdktest.Result
		after time.Duration
		says  string
	}{
		{"429", func() { slack.RateLimit(1, 3*time.Second) }, sdktest.Pause, 3 * time.Second, "rate limit"},
		{"500", func() { slack.FailNext(1, 500) }, sdktest.Retry, 0, "500"},
		{"400", func() { slack.FailNext(1, 400) }, sdktest.Reject, 0, "400"},
		{"403", func() { slack.Refuse("action_prohibited") }, sdktest.Pause, recheck, "make a new one"},
		{"nobody listens", server.Close, sdktest.Retry, 0, "refused"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line.Restart() // ends a pause
			tt.fail()
			out := line.Deliver(message(10+i, 42, "c"))
			if out.Result != tt.want || out.After != tt.after || !strings.Contains(out.Reason, tt.says) {
				t.Errorf("outcome = %+v, want %s after %s with %q", out, tt.want, tt.after, tt.says)
			}
			if strings.Contains(out.Reason, "hunter2") {
				t.Errorf("reason has the URL: %s", out.Reason)
			}
		})
	}
}

func TestTypingIsNotPosted(t *testing.T) {
	line, slack := start(t)
	line.Live(event.Event{ID: "t1", Type: event.TypingStart, Account: "7", Conversation: "42", Data: []byte(`{"conversation_id":42}`)})
	deliver(t, line, message(1, 42, "a"))
	if got := slack.Stats(); got.Requests != 1 {
		t.Errorf("stats = %+v", got)
	}
}

func TestAThreadThatCouldNotBeSavedIsNotPostedAgain(t *testing.T) {
	s := &threads{host: &sdk.Host{}, rule: "a"} // not connected: its store fails
	th := &thread{Account: "7", Conversation: "42"}
	th.posted("m1", threadRef{"C1", "1.2"})
	if err := s.save(t.Context(), th); err == nil {
		t.Fatal("no error")
	}
	got, err := s.load(t.Context(), message(1, 42, ""))
	if err != nil || !got.has("m1") || got.TS != "1.2" {
		t.Errorf("load = %+v, %v", got, err)
	}
}

func TestAThreadRemembersABoundedNumberOfEvents(t *testing.T) {
	var th thread
	for i := range 3 * remembered {
		th.posted(fmt.Sprint(i), threadRef{})
	}
	if len(th.Posted) != remembered || th.has("0") || !th.has(fmt.Sprint(3*remembered-1)) {
		t.Errorf("posted = %v", th.Posted)
	}
}
