package account

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// FuzzFrames: what is accepted can be routed, and its data is a part of what
// came.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		`[]`, `null`, `[{"id":1,"conversation_id":2}]`, `[{"id":"a","conversation_id":"b","x":[{"id":3}]} , {"id":1}]`,
		`[{"id":1,"id":{}}]`, "[{\"id\":1,\"x\":\"\xff\"}]", `[1]`, `[[]]`, `{"id":1}`, `[{"id":1e3,"conversation_id":-1}]`,
		`[{"id":1,"conversation_id":2,"updated_at":"2026-01-02T03:04:05Z","sender_type":"User"}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, kind := range []event.Type{event.ConversationUpdated, event.MessageNew} {
			list, err := frames(kind, raw)
			if err != nil {
				continue
			}
			var items []json.RawMessage
			if err := json.Unmarshal(raw, &items); err != nil || len(items) != len(list) {
				t.Fatalf("%d frames of %q, %v", len(list), raw, err)
			}
			for _, f := range list {
				if f.Type != kind || f.Object == "" || f.Conversation == "" || !json.Valid(f.Data) || !bytes.Contains(raw, f.Data) {
					t.Errorf("%+v of %q", f, raw)
				}
			}
		}
	})
}
