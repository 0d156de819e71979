package simulator

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Stats are an account's counts since the start, without its history. They are
// what loss and doubles are measured against.
type Stats struct {
	// Account is the account's id.
	Account string `json:"account"`
	// Events counts what was broadcast, by type. What a fault then kept from
	// sockets is counted here like the rest.
	Events map[string]EventCount `json:"events"`
	// Actions counts the actions that were done, by type, pings included.
	Actions map[string]int `json:"actions"`
	// Refs counts how often an action with a client_ref was done, by
	// client_ref: more than once is a double.
	Refs map[string]int `json:"refs"`
	// Invalid counts frames of clients that were answered with an error.
	Invalid int `json:"invalid"`
	// Messages is how many messages were made, by customers and by actions.
	// Their ids are FirstMessage to LastMessage, without a gap; both are zero
	// when there is none.
	Messages     int   `json:"messages"`
	FirstMessage int64 `json:"first_message"`
	LastMessage  int64 `json:"last_message"`
	// Edits is how often messages were edited.
	Edits int `json:"edits"`
	// Injected counts the frames of [Server.Broadcast] and of the fault
	// malformed. They are in no other count.
	Injected int `json:"injected"`
	// Withheld counts the frames that a fault kept from a socket, once for
	// each socket.
	Withheld int `json:"withheld"`
	// Sockets counts connections.
	Sockets SocketCount `json:"sockets"`
}

// EventCount counts the events of one type.
type EventCount struct {
	// Total is all of them.
	Total int `json:"total"`
	// Heard is those that were broadcast while at least one socket was open.
	Heard int `json:"heard"`
}

// SocketCount counts the sockets of an account.
type SocketCount struct {
	// Open is how many are open now; one that is half open is.
	Open int `json:"open"`
	// Opened, Refused and Closed are totals: Opened is Open and Closed.
	Opened  int `json:"opened"`
	Refused int `json:"refused"`
	Closed  int `json:"closed"`
	// Overrun is how many of Closed did not catch up in time.
	Overrun int `json:"overrun"`
}

// Doubles returns, in order, the refs of actions that were done more than
// once.
func (s Stats) Doubles() []string {
	var refs []string
	for ref, n := range s.Refs {
		if n > 1 {
			refs = append(refs, ref)
		}
	}
	slices.Sort(refs)
	return refs
}

// Stats returns the counts of an account. The error matches [ErrNotFound].
func (s *Server) Stats(account string) (Stats, error) {
	a, err := s.account(account)
	if err != nil {
		return Stats{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.snapshot(), nil
}

// Await returns when the counts of an account satisfy the condition, which it
// checks now and after every change of them. It returns an error that matches
// [ErrNotFound], or the cause when ctx ends first.
func (s *Server) Await(ctx context.Context, account string, condition func(Stats) bool) error {
	a, err := s.account(account)
	if err != nil {
		return err
	}
	for {
		a.mu.Lock()
		now, changed := a.snapshot(), a.changes()
		a.mu.Unlock()
		if condition(now) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the counts of account %q: %w", account, context.Cause(ctx))
		}
	}
}

// snapshot completes and copies the counts. Its caller holds mu.
func (a *account) snapshot() Stats {
	s := a.counts
	s.Account = a.id
	s.Events = maps.Clone(s.Events)
	s.Actions = maps.Clone(s.Actions)
	s.Refs = maps.Clone(s.Refs)
	s.Edits = a.world.edits
	if s.Messages = len(a.world.messages) - a.history; s.Messages > 0 {
		s.FirstMessage = int64(a.history + 1)
		s.LastMessage = int64(len(a.world.messages))
	}
	s.Sockets.Open = len(a.sockets)
	return s
}

// changes returns a channel that is closed by the next call of touch. Its
// caller holds mu.
func (a *account) changes() <-chan struct{} {
	if a.changed == nil {
		a.changed = make(chan struct{})
	}
	return a.changed
}

// touch wakes who waits for a change of the counts. Its caller holds mu.
func (a *account) touch() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}
