package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type config struct {
	Greeting string       `json:"greeting,omitempty"`
	Wait     sdk.Duration `json:"wait,omitempty"`
	Key      secret.Text  `json:"key,omitempty"`
}

// greeter answers; "again", "hold", "never" and "panic" in a message make it
// give the other outcomes.
func greeter() sdk.Plugin[config] {
	return sdk.Plugin[config]{
		Name: "greeter", Version: "1", Events: []string{"message.new"},
		Actions:  []event.ActionType{event.SendMessage, event.StartTyping, event.StopTyping},
		Defaults: config{Greeting: "hello"},
		Configure: func(_ context.Context, h *sdk.Host, c config) ([]sdk.Feed, error) {
			if c.Greeting == "" {
				return nil, &sdk.ConfigError{Path: "/greeting", Err: errors.New("must not be empty")}
			}
			return []sdk.Feed{{Handlers: sdk.Handlers{
				OnMessageNew: func(ctx context.Context, d *sdk.Delivery, m event.Message) error {
					switch m.Content {
					case "again":
						return sdk.RetryAfter(time.Minute, errors.New("not yet"))
					case "hold":
						return sdk.Pause(time.Hour, errors.New("it is down"))
					case "never":
						return sdk.Reject(errors.New("no"))
					case "panic":
						panic("on purpose")
					case "resolve":
						return d.SetStatus(ctx, event.StatusResolved)
					}
					if err := h.Put(ctx, "last", []byte(m.Content)); err != nil {
						return err
					}
					return d.Typing(ctx, func(ctx context.Context) error { return d.Reply(ctx, c.Greeting) })
				},
			}}}, nil
		},
	}
}

func message(id int, content string) event.Event {
	return event.Event{
		ID: fmt.Sprint("e", id), Type: event.MessageNew, Account: "7", Conversation: fmt.Sprint(id),
		Data: fmt.Appendf(nil, `{"id":%d,"content":%q,"conversation_id":%d,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}`, id, content, id),
	}
}

func TestOutcomes(t *testing.T) {
	tests := []struct {
		name, content string
		want          sdktest.Outcome
	}{
		{"nil is an ack", "hi", sdktest.Outcome{Result: sdktest.Ack}},
		{"a retry keeps its wait and reason", "again", sdktest.Outcome{Result: sdktest.Retry, After: time.Minute, Reason: "not yet"}},
		{"a pause keeps its hold", "hold", sdktest.Outcome{Result: sdktest.Pause, After: time.Hour, Reason: "it is down"}},
		{"a reject keeps its reason", "never", sdktest.Outcome{Result: sdktest.Reject, Reason: "no"}},
		{"a panic is a retry by the schedule", "panic", sdktest.Outcome{Result: sdktest.Retry, Reason: "handler panicked: on purpose"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := sdktest.Start(t, greeter(), `{}`)
			if got := line.Deliver(message(i, tt.content)); got != tt.want {
				t.Errorf("outcome = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAHandlerThatRunsTwiceAnswersOnce(t *testing.T) {
	line := sdktest.Start(t, greeter(), `{"greeting":"moin"}`)
	line.Deliver(message(1, "hi"))
	line.Restart()
	line.Deliver(message(1, "hi"))

	var replies []event.Action
	for _, a := range line.Actions() {
		if a.Type == event.SendMessage {
			replies = append(replies, a)
		}
	}
	if len(replies) != 1 || string(replies[0].Body) != `{"content":"moin"}` || replies[0].Conversation != "1" {
		t.Errorf("replies = %+v", replies)
	}
	if got := string(line.Store()["last"]); got != "hi" {
		t.Errorf("store = %q", got)
	}
}

func TestAnActionThatWasNotGrantedIsRefused(t *testing.T) {
	line := sdktest.Start(t, greeter(), `{}`)
	got := line.Deliver(message(1, "resolve"))
	if got.Result != sdktest.Retry || !strings.Contains(got.Reason, "not granted") {
		t.Errorf("outcome = %+v", got)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct{ name, config, path, message string }{
		{"an unknown field", `{"greting":"x"}`, "/greting", "unknown key"},
		{"a wrong type", `{"greeting":1}`, "/greeting", "must be text"},
		{"a duration without unit", `{"wait":"30"}`, "/wait", "as in 30s"},
		{"what the plugin itself refuses", `{"greeting":""}`, "/greeting", "must not be empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sdktest.Problems(t, greeter(), tt.config)
			if len(got) != 1 || got[0].Path != tt.path || !strings.Contains(got[0].Message, tt.message) {
				t.Errorf("problems = %+v", got)
			}
		})
	}
}
