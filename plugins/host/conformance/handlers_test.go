package conformance_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func TestFlawsOfHandlers(t *testing.T) {
	t.Cleanup(func() { close(hanging) })
	tests := []struct {
		check, says string
		flaw        func(*sdk.Plugin[config])
	}{
		{"config", "not today", func(p *sdk.Plugin[config]) {
			p.Configure = func(context.Context, *sdk.Host, config) ([]sdk.Feed, error) { return nil, errors.New("not today") }
		}},
		{"outcomes", "have no outcome", func(p *sdk.Plugin[config]) {
			p.Configure = func(context.Context, *sdk.Host, config) ([]sdk.Feed, error) {
				return []sdk.Feed{{Timeout: time.Millisecond, Handlers: sdk.Handlers{OnEvent: func(context.Context, *sdk.Delivery) error {
					<-hanging
					return nil
				}}}}, nil
			}
		}},
		{"actions", "mark_as_read", answering(func(ctx context.Context, c *sdk.Delivery) error { c.MarkRead(ctx); return nil })},
		{"actions", "granted 7", answering(func(ctx context.Context, c *sdk.Delivery) error {
			c.For("9", "1").Reply(ctx, "hello")
			return nil
		})},
		{"redelivery", "would be done twice", answering(func(ctx context.Context, c *sdk.Delivery) error {
			_, err := c.Do(ctx, event.Action{ID: rand.Text(), Type: event.SendMessage, Body: []byte(`{"content":"hello"}`)})
			return err
		})},
		{"redelivery", "only one of them would be done", answering(func(ctx context.Context, c *sdk.Delivery) error {
			_, err := c.Do(ctx, event.Action{ID: "always the same", Type: event.SendMessage, Body: []byte(`{"content":"hello"}`)})
			return err
		})},
		{"unknown-type", "reject: what is conversation.conformance", func(p *sdk.Plugin[config]) {
			p.Configure = sdk.Handle[config](sdk.Handlers{OnEvent: func(_ context.Context, c *sdk.Delivery) error {
				if _, err := c.Event.Decode(); errors.Is(err, event.ErrUnknownType) {
					return sdk.Reject(errors.New("what is " + string(c.Event.Type)))
				}
				return nil
			}})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.check+" "+tt.says, func(t *testing.T) {
			t.Parallel()
			o := inMemory(func() pluginv1.PluginServer {
				p := sound(hello)
				tt.flaw(&p)
				return p.Server(slog.New(slog.DiscardHandler))
			}, roomy)
			o.Bound = 2 * time.Second
			o.Only = func(name string) bool { return name == tt.check }
			failed, _ := run(t, o)
			expect(t, failed, tt.check, tt.says)
		})
	}
}

func answering(reply func(context.Context, *sdk.Delivery) error) func(*sdk.Plugin[config]) {
	return func(p *sdk.Plugin[config]) { *p = sound(reply) }
}

// hanging is closed at the end of the test of handlers.
var hanging = make(chan struct{})
