// Package sdk is all that the author of a plugin imports.
//
//	func main() {
//		sdk.Serve(sdk.Plugin[struct{}]{
//			Name:    "greeter",
//			Version: "1.0.0",
//			Events:  []string{"conversation.new"},
//			Actions: []event.ActionType{event.SendMessage},
//			Configure: sdk.Handle[struct{}](sdk.Handlers{
//				OnConversationNew: func(ctx context.Context, c *sdk.Delivery, new event.Conversation) error {
//					return c.Reply(ctx, "Hello "+new.Contact.Name+", how can we help?")
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
// The context of a handler ends at its feed's Timeout. A handler that does not
// return then, and 5 s later, has the host end the process and start it again.
//
// The ids of the actions that a [Delivery] sends are derived from its event,
// so a handler that runs twice for one event, as after a crash, answers once.
//
// # Beside handlers
//
// [Host] has a small store, timers that survive restarts, and counters.
// [Middleware] goes around all handlers. A plugin reaches out to nothing before
// its first event: `switchboard check` configures it, too. For its author's
// tests there is the package sdktest, and `switchboard plugins test` runs an
// executable through what every plugin must keep to.
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
	// Use goes around the handlers of all feeds and OnTimer; the first is the
	// outermost.
	Use []Middleware
	// OnTimer gets the timers that the plugin set with [Host.Schedule], when
	// they have come due; the next of a key when the one before is done. Its
	// error counts as a handler's does. Nil: timers are done at once.
	OnTimer func(ctx context.Context, c *Delivery, t Timer) error
	// Health is asked every now and then, never twice at once, and has 10 s. Its
	// error is shown to the operator; the plugin is not restarted for it. Nil:
	// all is well. It may be called before Configure has returned.
	Health func(ctx context.Context) error
	// Drain is called once, when the host asks the plugin to come to an end, for
	// what the plugin does by itself: handlers that run are waited for, and the
	// host answers until both are done. ctx ends when the host waits no longer,
	// which is about 3 s.
	Drain func(ctx context.Context)
}

// Handler is any handler, with its event still in the delivery.
type Handler func(ctx context.Context, c *Delivery) error

// Middleware makes a handler of another, to do something before and after it:
// log, count, refuse, or change its error.
type Middleware func(next Handler) Handler

// around puts the plugin's middleware around a handler.
func around(use []Middleware, h Handler) Handler {
	for i := len(use) - 1; i >= 0; i-- {
		h = use[i](h)
	}
	return h
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
	// Filter is which of its events the feed wants, as an expression of
	// expr-lang.org such as `message.content contains "refund"`. Empty: all. The
	// host evaluates it, before anything is sent.
	Filter string
	// FilterPath is where in the configuration the filter came from, as a JSON
	// Pointer: an error in it is shown there. Empty: it is the plugin's own.
	FilterPath string
	// Timeout is how long a handler may take. 0: 25 s.
	Timeout time.Duration
	// Window is how many events may be in handlers at once. 0: 256, which is
	// also the most.
	Window int
	// Rate is how many events per second come at most. 0: as they come.
	Rate float64
	// Unordered says that the order within a conversation does not matter: an
	// event that is tried again holds up no other.
	Unordered bool
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
