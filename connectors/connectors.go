// Package connectors says what a conversation backend must offer to be
// bridged.
//
// A [Dialer] dials; a [Session] is one live connection. A [Reader] tells what
// the backend still knows of the past. None of them reconnects, buffers or
// retries: that is the bridge's, once for all backends. An error tells what to
// do next: [ErrRefused] means that the credentials were not accepted,
// [ErrPermanent] that trying again cannot help, [ErrNotFound] that there is no
// such thing, [Busy] that the backend wants to be left alone for a while, and
// anything else that trying again may succeed.
//
// The package connectortest holds every implementation to this contract.
package connectors

import (
	"context"
	"errors"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// Connector is one account of a backend. It is safe for concurrent use.
type Connector interface {
	Dialer
	Reader
	// Source is the account as a URI reference (the CloudEvents "source"),
	// stable over restarts and without secrets.
	Source() string
}

// Dialer opens sessions with one account of a backend. It is safe for
// concurrent use.
type Dialer interface {
	// Dial opens a session. It returns when the backend has accepted it, has
	// refused it, or ctx is done; it bounds its own time, too. Errors never
	// show a token.
	Dial(ctx context.Context) (Session, error)
}

// Reader asks a backend for what it knows. Each call is one request. It is safe
// for concurrent use, and bounds its own time.
type Reader interface {
	// Conversations returns one page of the account's conversations.
	Conversations(ctx context.Context, q Query) (Page, error)
	// Conversation returns a conversation with all its messages. An error that
	// matches [ErrNotFound] says that there is none of that id.
	Conversation(ctx context.Context, id string) (Detail, error)
}

// Query says which conversations to list. The most recently active come first,
// so that one that becomes active meanwhile moves to what was read already.
type Query struct {
	// ActiveAfter leaves out those without activity since, by the backend's
	// clock; zero: none.
	ActiveAfter time.Time
	// Page is the Next of the page before; empty: the first.
	Page string
}

// Page is one page of a list.
type Page struct {
	// Conversations are frames of the type conversation.updated.
	Conversations []Frame
	// Next leads to the next page; empty: this is the last.
	Next string
	// Date is the backend's clock when it answered; zero where it does not
	// say. It may be rounded down to a second.
	Date time.Time
}

// Detail is a conversation with its messages.
type Detail struct {
	// Conversation is a frame of the type conversation.updated.
	Conversation Frame
	// Messages are frames of the type message.new, oldest first.
	Messages []Frame
	// Date is as in [Page].
	Date time.Time
}

// Session is one live connection. One goroutine calls Receive; Send, Ping and
// Close may be called from others at the same time.
type Session interface {
	// Receive waits for the next frame. A frame that cannot be read is a Frame
	// with a Fault and not an error: the session goes on. After an error the
	// session is over and every further call fails. When ctx ends, the session
	// does.
	Receive(ctx context.Context) (Frame, error)
	// Send hands one action to the backend. ref goes along where the protocol
	// has room for it, and may come back in Frame.ClientRef. That Send returns
	// nil says that the action was written, not that it was done: a connection
	// that is half open accepts writes.
	Send(ctx context.Context, action event.Action, ref string) error
	// Ping asks for a sign of life and returns when it came. It needs a
	// Receive under way, and fails when ctx ends first.
	Ping(ctx context.Context) error
	// Close ends the session in good order where that is quickly done, and in
	// any case. It is safe to call more than once.
	Close() error
}

// Kind says what a frame is.
type Kind int

// The kinds of frames.
const (
	// Event is an event of the backend, of a known or an unknown type.
	Event Kind = iota
	// Pong answers a ping in the backend's own protocol.
	Pong
	// Complaint is an error that the backend reports; its text is in Text.
	Complaint
	// Unreadable is a frame that could not be read; Fault says why.
	Unreadable
)

// Frame is one thing that the backend said. The fields after Kind are read off
// the frame by a scan; those that a frame does not have are zero.
type Frame struct {
	Kind Kind
	// Raw is the frame as it came.
	Raw []byte
	// Type is the event's type.
	Type event.Type
	// Data is the event's payload, byte for byte: mostly a part of Raw.
	Data []byte
	// Conversation is the id of the conversation that the event belongs to.
	Conversation string
	// Object is the id of what the event is about: the message's for
	// message.*, the conversation's for conversation.*.
	Object string
	// Time is when it happened, by the backend's clock; zero when it does not
	// say.
	Time time.Time
	// Updated is when a message was last changed, by the backend's clock; zero
	// when it does not say.
	Updated time.Time
	// SenderType is that of a message.
	SenderType string
	// ClientRef is the ref of the action that caused the event, or that a
	// Complaint is about, where the backend echoes it.
	ClientRef string
	// Text is what a Complaint says.
	Text string
	// Fault says why a frame is Unreadable.
	Fault error
	// Received is when it was read, by our clock.
	Received time.Time
}

// What an error of a connector means to the link.
var (
	// ErrRefused: the credentials were not accepted. Read them anew, wait
	// longer, and say so loudly.
	ErrRefused = errors.New("refused by the backend")
	// ErrPermanent: trying the same again cannot succeed.
	ErrPermanent = errors.New("cannot succeed")
	// ErrNotFound: the backend has no such thing, or not any more.
	ErrNotFound = errors.New("not found at the backend")
)

// Busy is an error of a backend that asks to be left alone.
type Busy struct {
	// After is how long; zero: it did not say.
	After time.Duration
	// Err is what it said.
	Err error
}

func (b *Busy) Error() string { return b.Err.Error() }
func (b *Busy) Unwrap() error { return b.Err }

// Refused marks err as a refusal of the credentials.
func Refused(err error) error { return policy{err, ErrRefused} }

// Permanent marks err as one that trying again cannot mend.
func Permanent(err error) error { return policy{err, ErrPermanent} }

// policy is an error with what to do about it. Its text is the error's own.
type policy struct {
	err  error
	mark error
}

func (p policy) Error() string   { return p.err.Error() }
func (p policy) Unwrap() []error { return []error{p.err, p.mark} }
