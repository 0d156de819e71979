// Package sdk is all that the author of a plugin imports.
//
//	func main() {
//		sdk.Serve(sdk.Plugin[struct{}]{
//			Name:    "greeter",
//			Version: "1.0.0",
//			Events:  []string{"conversation.new"},
//			Actions: []event.ActionType{event.SendMessage},
//			Configure: sdk.Handle[struct{}](sdk.Handlers{
//				OnConversationNew: func(ctx context.Context, d *sdk.Delivery, c event.Conversation) error {
//					return d.Reply(ctx, "Hello "+c.Contact.Name+", how can we help?")
//				},
//			}),
//		})
//	}
//
// # What a handler may rely on
//
// Events come at least once and, within a conversation, in order: the next one
// of a conversation is delivered to a feed when the handler of the one before
// has returned. Events of different conversations are handled side by side.
//
// What a handler returns is the event's outcome: nil is done; [RetryAfter],
// [Pause] and [Reject] say what else; any other error is tried again on the
// feed's schedule, after which the event is a dead letter. A panic counts as
// such an error.
//
// The ids of the actions that a [Delivery] sends are derived from its event,
// so a handler that runs twice for one event, as after a crash, answers once.
package sdk

import (
	"context"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Plugin describes a plugin whose configuration is a C: a struct with json
// tags. The host validates the configuration against the schema made of C
// (see [Schema]); use struct{} for a plugin that has none.
type Plugin[C any] struct {
	// Name is the plugin's own name, [a-z0-9-]+. Operators may run it under
	// others.
	Name string
	// Version is the plugin's version, as its author counts.
	Version string
	// Summary says in one line what it does.
	Summary string
	// Events are the types it may ask for: "message.new", "message.*", "*".
	Events []string
	// Actions are those it may take. An operator must grant each.
	Actions []event.ActionType
	// Defaults is the configuration before the operator's is laid over it.
	Defaults C
	// Configure is called once, with a valid configuration. It makes the feeds
	// and reaches out to nothing: `switchboard check` calls it as well. An
	// error refuses the configuration; use [ConfigError] to say which field.
	Configure func(ctx context.Context, host *Host, config C) ([]Feed, error)
}

// Feed is a stream of events with a position, retries and dead letters of its
// own. A plugin that serves several receivers has a feed for each, so that one
// that is down does not hold up the others.
type Feed struct {
	// Name is [a-z0-9-]+ and must stay the same over restarts; the position is
	// kept under it. Empty: "default".
	Name string
	// Events are those of the feed. Empty: all that the plugin asks for.
	Events []string
	// Retries are the waits before each further attempt. Empty: the host's
	// schedule.
	Retries []time.Duration
	// OwnEchoes asks for the events that the plugin's own actions caused, too.
	OwnEchoes bool
	// Handlers do the work.
	Handlers Handlers
}

// Handlers has a function for each type of event. Each may be nil: the event
// then goes to OnEvent, and where that is nil too it is done.
type Handlers struct {
	OnConversationNew     func(context.Context, *Delivery, event.Conversation) error
	OnConversationUpdated func(context.Context, *Delivery, event.Conversation) error
	OnMessageNew          func(context.Context, *Delivery, event.Message) error
	OnMessageUpdated      func(context.Context, *Delivery, event.Message) error
	OnActionResult        func(context.Context, *Delivery, event.ActionResult) error
	// OnEvent gets what has no handler of its own, types that this version
	// does not know among them.
	OnEvent func(context.Context, *Delivery) error
	// OnTyping gets typing.start and typing.stop as they happen. They are not
	// stored, have no outcome, and are dropped when the plugin is slow.
	OnTyping func(context.Context, event.Event, event.Typing)
}

// Handle is a Configure for a plugin with one feed and nothing to set up.
func Handle[C any](h Handlers) func(context.Context, *Host, C) ([]Feed, error) {
	return func(context.Context, *Host, C) ([]Feed, error) { return []Feed{{Handlers: h}}, nil }
}
