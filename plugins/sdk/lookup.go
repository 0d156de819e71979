package sdk

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Conversation is what the backend has of a conversation now.
type Conversation struct {
	event.Conversation
	// Messages are its messages, oldest first.
	Messages []event.Message
	// Data is the conversation as the backend sent it, one JSON object.
	Data []byte
}

// LookUp reads a conversation of an account that was granted. It asks the
// backend, so it takes its time and can fail where nothing else does.
func (h *Host) LookUp(ctx context.Context, account, conversation string) (*Conversation, error) {
	ans, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_LookUp{
		LookUp: &pluginv1.LookUp{Account: account, Conversation: conversation},
	}})
	if err != nil {
		return nil, fmt.Errorf("look up conversation %s: %w", conversation, err)
	}
	found := ans.GetConversation()
	c := &Conversation{Data: found.GetData()}
	if err := json.Unmarshal(c.Data, &c.Conversation); err != nil {
		return nil, fmt.Errorf("look up conversation %s: read it: %w", conversation, err)
	}
	c.Messages = make([]event.Message, len(found.GetMessages()))
	for i, data := range found.GetMessages() {
		if err := json.Unmarshal(data, &c.Messages[i]); err != nil {
			return nil, fmt.Errorf("look up conversation %s: read message %d of %d: %w", conversation, i+1, len(c.Messages), err)
		}
	}
	return c, nil
}
