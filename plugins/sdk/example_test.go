package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func Example() {
	type config struct {
		Greeting string      `json:"greeting,omitempty" jsonschema:"what to say"`
		Token    secret.Text `json:"token,omitempty" jsonschema:"for nothing, here"`
	}
	greeter := sdk.Plugin[config]{
		Name:     "greeter",
		Version:  "1.0.0",
		Events:   []string{"message.new"},
		Actions:  []event.ActionType{event.SendMessage},
		Defaults: config{Greeting: "Hello"},
		Configure: func(_ context.Context, _ *sdk.Host, c config) ([]sdk.Feed, error) {
			return []sdk.Feed{{Handlers: sdk.Handlers{
				OnMessageNew: func(ctx context.Context, d *sdk.Delivery, m event.Message) error {
					if !m.FromContact() {
						return nil
					}
					return d.Reply(ctx, c.Greeting)
				},
			}}}, nil
		},
	}
	// In main, it is sdk.Serve(greeter).
	try(greeter, `{"greeting":"Moin"}`, "hi")
	// Output:
	// ack
	// e1/default/1 send_message {"content":"Moin"}
}

func ExampleDelivery_Typing() {
	try(plugin(func(ctx context.Context, c *sdk.Delivery, m event.Message) error {
		return c.Typing(ctx, func(ctx context.Context) error {
			answer := strings.ToUpper(m.Content) // which takes its time
			return c.Reply(ctx, answer)
		})
	}), `{}`, "hi")
	// Output:
	// ack
	// start_typing
	// e1/default/1 send_message {"content":"HI"}
	// stop_typing
}

func ExampleDelivery_Conversation() {
	try(plugin(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
		now, err := c.Conversation(ctx)
		if err != nil {
			return err
		}
		if err := c.Reply(ctx, fmt.Sprintf("%s, these are your %d messages", now.Contact.Name, len(now.Messages))); err != nil {
			return err
		}
		return c.Resolve(ctx)
	}), `{}`, "hi")
	// Output:
	// ack
	// e1/default/1 send_message {"content":"Ada, these are your 2 messages"}
	// e1/default/2 update_status {"status":1}
}

func ExampleAccepted_Wait() {
	try(plugin(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
		accepted, err := c.Do(ctx, event.Action{Type: event.MarkAsRead, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			return err
		}
		result, err := accepted.Wait(ctx)
		if failed, ok := errors.AsType[*sdk.ActionError](err); ok {
			return sdk.Reject(failed)
		}
		fmt.Println(result.Type, "was done at attempt", result.Attempts)
		return err
	}), `{}`, "hi")
	// Output:
	// mark_as_read was done at attempt 1
	// ack
	// e1/default/1 mark_as_read
}

func ExampleRetryAfter() {
	try(plugin(func(_ context.Context, _ *sdk.Delivery, m event.Message) error {
		switch m.Content {
		case "busy":
			return sdk.RetryAfter(time.Minute, errors.New("the receiver asks for a minute"))
		case "nonsense":
			return sdk.Reject(errors.New("the receiver will never take this"))
		case "down":
			return sdk.Pause(time.Minute, errors.New("the receiver is down"))
		}
		return nil
	}), `{}`, "fine", "nonsense", "down")
	// Output:
	// ack
	// reject the receiver will never take this
	// pause the receiver is down
}

func ExampleMiddleware() {
	p := plugin(func(context.Context, *sdk.Delivery, event.Message) error { return errors.New("it is down") })
	p.Use = []sdk.Middleware{func(next sdk.Handler) sdk.Handler {
		return func(ctx context.Context, c *sdk.Delivery) error {
			err := next(ctx, c)
			if err != nil {
				c.Host.Count("failed", 1, "feed", c.Feed)
				return sdk.Reject(fmt.Errorf("on the first attempt already: %w", err))
			}
			return nil
		}
	}}
	try(p, `{}`, "hi")
	// Output:
	// reject on the first attempt already: it is down
	// failed{feed=default} 1
}

func ExampleHost_Keys() {
	try(plugin(func(ctx context.Context, c *sdk.Delivery, m event.Message) error {
		if err := c.Host.Put(ctx, "seen/"+m.Content, []byte(c.Event.ID)); err != nil {
			return err
		}
		for key, err := range c.Host.Keys(ctx, "seen/") {
			if err != nil {
				return err
			}
			value, err := c.Host.Get(ctx, key)
			if err != nil {
				return err
			}
			fmt.Printf("%s=%s ", key, value)
		}
		return nil
	}), `{}`, "one", "two")
	// Output:
	// seen/one=e1 ack
	// seen/one=e1 seen/two=e2 ack
}

func ExampleHost_Schedule() {
	rang := make(chan struct{})
	p := plugin(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
		defer func() { <-rang }() // so that the example has seen it
		return c.Host.Schedule(ctx, "remind/"+c.Event.Conversation, time.Now(), []byte(c.Event.Conversation))
	})
	p.OnTimer = func(ctx context.Context, c *sdk.Delivery, t sdk.Timer) error {
		defer close(rang)
		_, err := c.For("7", string(t.Data)).Do(ctx, event.Action{ID: t.Key, Type: event.SendMessage, Body: []byte(`{"content":"Still there?"}`)})
		return err
	}
	try(p, `{}`, "hi")
	// Output:
	// ack
	// remind/1 send_message {"content":"Still there?"}
}

func ExampleTrace() {
	try(plugin(func(ctx context.Context, _ *sdk.Delivery, _ event.Message) error {
		parent, _ := sdk.Trace(ctx)
		fmt.Println("traceparent:", parent)
		return nil
	}), `{}`, "hi")
	// Output:
	// traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
	// ack
}

// endpoint has a default wherever it stands.
type endpoint struct {
	URL   string `json:"url"`
	Tries int    `json:"tries,omitempty"`
}

func (e *endpoint) SetDefaults() { e.Tries = 3 }

func ExampleDefaulter() {
	type config struct {
		Endpoints []endpoint `json:"endpoints"`
	}
	try(sdk.Plugin[config]{
		Name: "example", Version: "1", Events: []string{"message.new"},
		Configure: func(_ context.Context, _ *sdk.Host, c config) ([]sdk.Feed, error) {
			var feeds []sdk.Feed
			for i, e := range c.Endpoints {
				if e.Tries < 1 {
					return nil, &sdk.ConfigError{Path: fmt.Sprintf("/endpoints/%d/tries", i), Err: errors.New("write at least 1")}
				}
				fmt.Println(e.URL, e.Tries)
				feeds = append(feeds, sdk.Feed{Name: fmt.Sprint("e", i), Rate: 10, Timeout: time.Minute})
			}
			return feeds, nil
		},
	}, `{"endpoints":[{"url":"https://a.example"},{"url":"https://b.example","tries":1}]}`)
	// Output:
	// https://a.example 3
	// https://b.example 1
}
