package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Recall takes in what an earlier process was sending when it ended, and what
// it had confirmed: their echoes may come before the actions' turn, and must
// say whose they are, or a bot gets what it said itself for another's. It is
// called before the first Claim.
func (o *Outbox) Recall(ctx context.Context) error {
	if err := o.remember(ctx, time.Now().Add(-overlap-ledgerSlack)); err != nil {
		return err
	}
	if !useLedger {
		return nil
	}
	found := map[string]bool{} // by conversation: one at most is being sent
	for q, err := range o.o.Bus.Waiting(ctx, o.o.Account) {
		if err != nil {
			return fmt.Errorf("look for what was being sent: %w", err)
		}
		a := q.Action
		if found[a.Conversation] {
			continue
		}
		data, err := o.o.Bus.ReadLedger(ctx, a.Account, q.Sender, a.ID)
		if err != nil {
			return fmt.Errorf("look for what was being sent: %w", err)
		}
		if data == nil {
			continue
		}
		var said entry
		if err := json.Unmarshal(data, &said); err != nil {
			return fmt.Errorf("read the ledger's entry of %s/%s: %w", q.Sender, a.ID, err)
		}
		if said.State == sending {
			found[a.Conversation] = true
			// When it is its turn it waits for its echo anew, and is told of one
			// that came by then.
			o.echoes.expect(a, q.Sender, q.Sender+"/"+a.ID, (&job{Queued: q, entry: said}).firstSent(), 0)
		}
	}
	return nil
}
