package simulator

import (
	"log/slog"
	"time"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Options say what a [Server] simulates. The zero value has no account and
// refuses everybody.
type Options struct {
	// Accounts are those that exist. Where two have one ID, the last counts.
	Accounts []Account
	// Seed decides what the customers do: equal seeds, equal conversations and
	// texts in an equal order, whatever clients do. Times differ.
	Seed uint64
	// Rate is how many messages the customers of each account write per
	// second, while [Server.Run] runs. Openings, typing and edits come on top.
	// Zero: 1.
	Rate float64
	// Conversations is how many conversations of each account the customers
	// keep going at a time. Zero: 20.
	Conversations int
	// History is how many conversations each account has before anything is
	// served. They are in no count but REST has them. Zero: none.
	History int
	// EchoRef makes the events that come of an action, and errors, carry its
	// client_ref in their data. Off by default: an older backend ignores it.
	EchoRef bool
	// IgnorePing leaves the protocol's ping unanswered, as some backends do;
	// those of WebSocket are answered still.
	IgnorePing bool
	// BareList makes the list call answer with a bare array and not with a
	// page object. It then has all conversations, unless a page is asked for.
	BareList bool
	// PageSize is how many conversations a page has. Zero: 25.
	PageSize int
	// Queue is how many frames wait for a slow socket before changes of its
	// account do. Zero: 256.
	Queue int
	// Patience is how long a change waits for a socket whose queue is full,
	// before the socket is closed. Zero: 5s.
	Patience time.Duration
	// Control serves /control/. See the package comment for what that opens.
	Control bool
	// Logger gets sockets and faults at debug level. Nil: no logs.
	Logger *slog.Logger
}

// Account is one account of the backend.
type Account struct {
	// ID is any text; it is path-escaped in URLs.
	ID string
	// Token opens the account's sockets and its REST calls. Without one nobody
	// gets in.
	Token secret.Text
	// AgentID is the user that the token writes as: the sender_id of what
	// comes of send_message. Zero: 1.
	AgentID int64
}

func (o Options) withDefaults() Options {
	if o.Rate <= 0 {
		o.Rate = 1
	}
	if o.Conversations <= 0 {
		o.Conversations = 20
	}
	if o.PageSize <= 0 {
		o.PageSize = 25
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
