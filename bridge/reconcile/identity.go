package reconcile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Identity is the id of the event that a frame tells: what has the same id is
// the same event, on NATS and for every plugin, whether the socket brought it or
// the REST API.
//
// A new message or conversation is what it is about. An edit is the message
// with the time of its update and what it says, not its bytes: REST and socket
// write those differently. Any other frame is an event of its own: two equal
// conversation.updated are two (open, resolved, open).
func Identity(account string, f connectors.Frame) string {
	id := account + "/" + string(f.Type) + "/"
	switch f.Type {
	case event.MessageNew, event.ConversationNew:
		return id + f.Object
	case event.MessageUpdated:
		if version, ok := version(f.Data); ok {
			return id + f.Object + "/" + version
		}
	}
	if f.Object != "" {
		id += f.Object + "/"
	}
	return id + strings.ToLower(rand.Text())
}

// version tells one state of a message from another.
func version(data []byte) (string, bool) {
	var m struct {
		UpdatedAt   string          `json:"updated_at"`
		Content     string          `json:"content"`
		MessageType json.RawMessage `json:"message_type"`
		Status      string          `json:"status"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return "", false
	}
	// The same moment has many spellings, and REST may have another one.
	if t, err := time.Parse(time.RFC3339Nano, m.UpdatedAt); err == nil {
		m.UpdatedAt = t.UTC().Format(time.RFC3339Nano)
	}
	said, err := json.Marshal(m)
	if err != nil {
		return "", false
	}
	sum := sha256.Sum256(said)
	return m.UpdatedAt + "/" + hex.EncodeToString(sum[:6]), true
}
