package conformance_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/plugins/host/conformance"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// flawVar makes this binary, executed again, a plugin with that flaw.
const flawVar = "CONFORMANCE_FLAW"

func TestMain(m *testing.M) {
	if flaw := os.Getenv(flawVar); flaw != "" {
		serveByHand(flaw)
		return
	}
	goleak.VerifyTestMain(m)
}

type delivery = sdk.Delivery

type config struct {
	Greeting string `json:"greeting,omitempty"`
}

// sound keeps to everything: it answers each message and resolves what is new.
func sound(reply func(context.Context, *sdk.Delivery) error) sdk.Plugin[config] {
	return sdk.Plugin[config]{
		Name: "sound", Version: "1", Events: []string{"*"},
		Actions: []event.ActionType{event.SendMessage, event.UpdateStatus},
		Configure: sdk.Handle[config](sdk.Handlers{
			OnMessageNew: func(ctx context.Context, c *sdk.Delivery, _ event.Message) error { return reply(ctx, c) },
			OnConversationNew: func(ctx context.Context, c *sdk.Delivery, _ event.Conversation) error {
				return c.Resolve(ctx)
			},
			OnEvent: func(context.Context, *sdk.Delivery) error { return nil },
		}),
	}
}

func hello(ctx context.Context, c *sdk.Delivery) error { return c.Reply(ctx, "hello") }

// server is the sound plugin's end of the line.
func server() pluginv1.PluginServer { return sound(hello).Server(slog.New(slog.DiscardHandler)) }

// run runs the suite and returns what failed, by the check's name.
func run(t *testing.T, o conformance.Options) (failed map[string]error, notes []string) {
	t.Helper()
	failed = map[string]error{}
	n, err := conformance.Run(t.Context(), o, func(r conformance.Result) {
		if r.Err != nil {
			failed[r.Name] = r.Err
		}
		if r.Note != "" {
			notes = append(notes, r.Name)
		}
	})
	if err != nil || n != len(failed) {
		t.Fatalf("%d failed, told %d: %v", n, len(failed), err)
	}
	return failed, notes
}

// expect fails the test unless the check, and no other, failed and says so.
func expect(t *testing.T, failed map[string]error, check, says string) {
	t.Helper()
	err := failed[check]
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %q", check, err, says)
	}
	delete(failed, check)
	if len(failed) > 0 {
		t.Errorf("others failed, too: %s", fmt.Sprint(failed))
	}
}
