package autoresponder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// limits keeps, in the host's store, when a rule last acted in a conversation.
// It is safe for concurrent use by the handlers of different conversations;
// those of one conversation come one after the other.
type limits struct{ host *sdk.Host }

// use is the last time that a rule acted in a conversation.
type use struct {
	// Rule, Account and Conversation say whose it is, for people who look into
	// the store: the key does not.
	Rule         string `json:"rule"`
	Account      string `json:"account"`
	Conversation string `json:"conversation"`
	// Event is what it answered. The same again is not a further use.
	Event string    `json:"event"`
	At    time.Time `json:"at"`
}

// doneOnce is how long the bridge does the same action once. An event that comes
// again later, as when old ones are replayed, is not to be answered again.
const doneOnce = 24 * time.Hour

// take reports whether the rule may act on the event, and notes that it does.
func (l limits) take(ctx context.Context, r *rule, e event.Event) (bool, error) {
	if r.limits == (Limits{}) {
		return true, nil
	}
	key := limitKey(r.name, e.Account, e.Conversation)
	var last use
	data, err := l.host.Get(ctx, key)
	switch {
	case errors.Is(err, sdk.ErrNotFound):
	case err != nil:
		return false, fmt.Errorf("read limit of rule %s: %w", r.name, err)
	default:
		if err := json.Unmarshal(data, &last); err != nil {
			return false, sdk.Reject(fmt.Errorf("read limit of rule %s: what the store has under %s cannot be read: %w", r.name, key, err))
		}
		since := time.Since(last.At)
		switch {
		case last.Event == e.ID:
			return since < doneOnce, nil
		case r.limits.OncePerConversation, since < time.Duration(r.limits.Cooldown):
			return false, nil
		}
	}
	data, err = json.Marshal(use{r.name, e.Account, e.Conversation, e.ID, time.Now().UTC()})
	if err == nil {
		err = l.host.Put(ctx, key, data)
	}
	if err != nil {
		return false, fmt.Errorf("note limit of rule %s: %w", r.name, err)
	}
	return true, nil
}

// limitKey is a hash: accounts and conversations may be longer than keys, and
// have characters that keys have not.
func limitKey(rule, account, conversation string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{rule, account, conversation}, "\x00")))
	return "limit." + hex.EncodeToString(sum[:16])
}
