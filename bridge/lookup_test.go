package bridge_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAConversationIsLookedUpWithItsMessages(t *testing.T) {
	r := start(t, simulator.Options{})
	conversation := r.conversation()
	for _, text := range []string{"one", "two"} {
		if _, err := r.sim.CustomerWrites("7", conversation, text); err != nil {
			t.Fatal(err)
		}
	}
	id := strconv.FormatInt(conversation, 10)
	detail, err := r.LookUp(t.Context(), "7", id)
	if err != nil || len(detail.Messages) < 2 {
		t.Fatalf("%+v, %v", detail, err)
	}
	var c event.Conversation
	var m event.Message
	if err := json.Unmarshal(detail.Conversation.Data, &c); err != nil || c.ID != conversation || c.Contact.Name != "Ada Okafor" {
		t.Errorf("conversation %+v, %v", c, err)
	}
	if err := json.Unmarshal(detail.Messages[len(detail.Messages)-1].Data, &m); err != nil || m.Content != "two" || m.ConversationID != conversation {
		t.Errorf("the last message is %+v, %v", m, err)
	}
	for _, is := range []struct {
		account, conversation string
		want                  error
	}{
		{"7", "999999", connectors.ErrNotFound}, {"8", id, connectors.ErrNotFound}, {"9", id, outbox.ErrUnknownAccount},
	} {
		if _, err := r.LookUp(t.Context(), is.account, is.conversation); !errors.Is(err, is.want) {
			t.Errorf("conversation %s of account %s: %v, want %v", is.conversation, is.account, err, is.want)
		}
	}
}
