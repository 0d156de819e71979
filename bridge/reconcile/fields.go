package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// digest is a short form of the named fields of a body, those that are told by
// events of the conversation, and its count of unread messages; empty: they
// cannot be read. The last message and the time of the last activity are told
// by messages.
func digest(data []byte) (fields string, unread int) {
	var v event.Conversation
	if err := json.Unmarshal(data, &v); err != nil {
		return "", 0
	}
	labels := slices.Sorted(slices.Values(v.Labels))
	var snoozed time.Time
	if v.SnoozedUntil != nil {
		snoozed = v.SnoozedUntil.UTC()
	}
	named, err := json.Marshal([]any{
		v.Status, v.Priority, v.AssigneeID, v.InboxID, v.TeamID, snoozed, labels, v.Contact,
	})
	if err != nil {
		return "", 0
	}
	sum := sha256.Sum256(named)
	return hex.EncodeToString(sum[:8]), v.UnreadCount
}

// times are when a conversation was created, and when something last happened
// in it; zero: its body does not say.
func times(data []byte) (created, activity time.Time) {
	var v struct {
		CreatedAt      time.Time `json:"created_at"`
		LastActivityAt time.Time `json:"last_activity_at"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return time.Time{}, time.Time{}
	}
	return v.CreatedAt, v.LastActivityAt
}
