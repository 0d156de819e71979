package host

import (
	"context"
	"errors"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Parts are what the host needs of the rest of Switchboard.
type Parts struct {
	Feeds   Feeds
	Actions Actions
	Store   Store
	Timers  Timers
	Backend Backend
}

// What the parts return where there is more to say than that it did not work.
var (
	// ErrNotFound: there is no such thing, under a key of a [Store], at a
	// [Backend], or among the [Actions].
	ErrNotFound = errors.New("not found")
	// ErrFull: the [Store] or the [Timers] have no room for it.
	ErrFull = errors.New("the store is full")
	// ErrLimit: [Actions] refuse it because there was too much of it.
	ErrLimit = errors.New("over the limit")
)

// Actions is the door of the outbox. It is safe for concurrent use.
type Actions interface {
	// Act returns when the action is accepted, on disk. An error that matches
	// [event.ErrInvalidAction] is final; one that matches [ErrLimit] says that
	// the bots of its conversation answer each other.
	Act(ctx context.Context, sender string, a event.Action) (duplicate bool, err error)
	// Wait blocks until it is known what became of an action of the sender, or
	// ctx ends, and returns the event that tells it: its type and its data. An
	// action that was not accepted in the last 24 h is [ErrNotFound].
	Wait(ctx context.Context, sender, account, id string) (event.Type, []byte, error)
}

// Store keeps what plugins want to remember. It is safe for concurrent use.
type Store interface {
	// Get returns [ErrNotFound] where there is nothing.
	Get(ctx context.Context, plugin, key string) ([]byte, error)
	// Put returns when it is on disk; [ErrFull] says that there is no room.
	Put(ctx context.Context, plugin, key string, value []byte) error
	// Delete removes a key, if it is there.
	Delete(ctx context.Context, plugin, key string) error
	// Keys returns up to limit keys of the plugin that begin with the prefix
	// and come after another key (empty: from the first), in the order of their
	// bytes. more says that the last is not the last there is.
	Keys(ctx context.Context, plugin, prefix, after string, limit int) (keys []string, more bool, err error)
}

// Timers keep what plugins want to be told later. They tell nothing by
// themselves: the host does, when it is time. It is safe for concurrent use.
type Timers interface {
	// Set keeps a timer, in place of one of the same key, and returns when it is
	// on disk. [ErrFull] says that there is no room.
	Set(ctx context.Context, plugin string, t Timer) error
	// Remove removes a timer, if it is there.
	Remove(ctx context.Context, plugin, key string) error
	// All are the plugin's timers, in any order.
	All(ctx context.Context, plugin string) ([]Timer, error)
}

// Timer is what a plugin wants to be told at a time.
type Timer struct {
	// Key names it among the plugin's timers.
	Key string
	// At is when.
	At time.Time
	// Data comes back with it.
	Data []byte
}

// Backend reads what the accounts' backends have. It is safe for concurrent use.
type Backend interface {
	// LookUp reads a conversation with its messages. [ErrNotFound] says that the
	// backend has none of that id.
	LookUp(ctx context.Context, account, conversation string) (Conversation, error)
}

// Conversation is what a backend has of a conversation.
type Conversation struct {
	// Data is that of a conversation.updated.
	Data []byte
	// Messages are the data of a message.new each, oldest first.
	Messages [][]byte
}
