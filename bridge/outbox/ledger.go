package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// LedgerEntry is one entry of the ledger as it is stored.
type LedgerEntry struct {
	// Sender and ID name the action.
	Sender, ID string
	// Written is when it was last written.
	Written time.Time
	// Data is the entry.
	Data []byte
}

// ReadLedger calls each for the entries of the account that were written since
// then, the oldest first, and returns the first error of it.
type ReadLedger func(ctx context.Context, since time.Time, each func(LedgerEntry) error) error

// ledgerSlack is how much more of the ledger is read than seems needed.
const ledgerSlack = time.Minute

// remember takes from the ledger which events have confirmed an action since
// then, if it has not done so.
func (o *Outbox) remember(ctx context.Context, since time.Time) error {
	if o.o.Ledger == nil {
		return nil
	}
	select {
	case o.reading <- struct{}{}:
		defer func() { <-o.reading }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !o.readSince.IsZero() && !since.Before(o.readSince) {
		return nil
	}
	err := o.o.Ledger(ctx, since, func(e LedgerEntry) error {
		var said entry
		if err := json.Unmarshal(e.Data, &said); err != nil {
			return fmt.Errorf("read the ledger's entry of %s/%s: %w", e.Sender, e.ID, err)
		}
		if said.Event != "" {
			o.echoes.remember(said.Event, owner{sender: e.Sender, action: e.ID})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what was confirmed before: %w", err)
	}
	o.readSince = since
	return nil
}

// remember takes in an event that confirmed an action of an earlier process.
func (e *echoes) remember(id string, whose owner) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claimed.add(id, whose)
	e.seen.highest = max(e.seen.highest, messageID(e.account, id))
}

// Retell publishes the results that the ledger has since then and the stream
// has not, under the ids that they had: an unclean end of the server can cost
// events, and never the ledger. known tells of the id of an event whether the
// stream has it. It is called before Run.
func (o *Outbox) Retell(ctx context.Context, since time.Time, known func(id string) bool) (told int, err error) {
	if o.o.Ledger == nil {
		return 0, nil
	}
	err = o.o.Ledger(ctx, since, func(e LedgerEntry) error {
		var said entry
		if err := json.Unmarshal(e.Data, &said); err != nil {
			return fmt.Errorf("read the ledger's entry of %s/%s: %w", e.Sender, e.ID, err)
		}
		t := event.Type(said.State)
		if !said.ended() || said.Conversation == "" || known(resultID(o.o.Account, t, e.Sender, e.ID)) {
			return nil // without an end it is in the queue
		}
		told++
		return o.publish(ctx, t, said.result(o.o.Account, e.Sender, e.ID), "", "")
	})
	if err != nil {
		return told, fmt.Errorf("tell results again: %w", err)
	}
	return told, nil
}
