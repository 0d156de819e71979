package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestWhatCannotBeAnActionIsRefusedAtTheDoor(t *testing.T) {
	tests := []struct {
		name   string
		action event.Action
		is     error
		want   string
		code   int
	}{
		{"an unknown type", event.Action{ID: "x", Type: "delete_all", Account: "7", Conversation: "1"},
			event.ErrInvalidAction, `type "delete_all" is not one of [send_message`, 400},
		{"a body that is no JSON", event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte("hello")},
			event.ErrInvalidAction, "body of send_message", 400},
		{"a typo in the body", event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"contents":"hello"}`)},
			event.ErrInvalidAction, `"contents"`, 400},
		{"a blank text", event.Action{ID: "x", Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"content":" "}`)},
			event.ErrInvalidAction, "not blank", 400},
		{"no id", event.Action{Type: event.MarkAsRead, Account: "7", Conversation: "1"},
			event.ErrInvalidAction, "needs an id", 400},
		{"a time that has passed", event.Action{ID: "x", Type: event.MarkAsRead, Account: "7", Conversation: "1", Expires: time.Now().Add(-time.Second)},
			event.ErrInvalidAction, "expired already", 400},
		{"an unknown account", event.Action{ID: "x", Type: event.MarkAsRead, Account: "8", Conversation: "1"},
			outbox.ErrUnknownAccount, `unknown account "8": this bridge has 7, nine`, 404},
		{"typing while there is no connection", event.Action{Type: event.StartTyping, Account: "7", Conversation: "1"},
			outbox.ErrUnavailable, "not connected", 503},
	}
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	r.background(r.door.Run)
	nc := r.connectNATS()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.door.Act(t.Context(), sender, tt.action)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}

			// And over NATS, in the shape of a JetStream acknowledgement.
			msg := nats.NewMsg(fmt.Sprintf("test.action.%s.%s.%s", tt.action.Account, tt.action.Conversation, tt.action.Type))
			msg.Data = tt.action.Body
			if tt.action.ID != "" {
				msg.Header.Set(nats.MsgIdHdr, tt.action.ID)
			}
			if !tt.action.Expires.IsZero() {
				msg.Header.Set("switchboard-expires", tt.action.Expires.UTC().Format(time.RFC3339Nano))
			}
			answer := r.request(nc, msg)
			if answer.Error.Code != tt.code || !strings.Contains(answer.Error.Description, tt.want) {
				t.Errorf("the answer is %+v", answer)
			}
		})
	}
	if answer := r.request(nc, nats.NewMsg("test.action.7.1")); answer.Error.Code != 400 || !strings.Contains(answer.Error.Description, "{conversation}") {
		t.Errorf("a subject that is none: %+v", answer)
	}
	if s := r.outbox.Status(); s.Accepted != 0 {
		t.Errorf("status = %+v", s)
	}
}

type answer struct {
	Error struct {
		Code        int
		Description string
	}
	Stream    string
	Seq       uint64
	Duplicate bool
}

// request asks again until the door listens.
func (r *rig) request(nc *nats.Conn, msg *nats.Msg) answer {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		res, err := nc.RequestMsg(msg, patience)
		if errors.Is(err, nats.ErrNoResponders) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		var a answer
		if err := json.Unmarshal(res.Data, &a); err != nil {
			r.t.Fatal(err)
		}
		return a
	}
}

func TestActionsComeInOverNATS(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	r.background(r.door.Run)
	nc := r.connectNATS()
	msg := nats.NewMsg("test.action.7." + conversation + ".send_message")
	msg.Header.Set(nats.MsgIdHdr, "x")
	msg.Data = []byte(`{"content":"hello"}`)
	if a := r.request(nc, msg); a.Stream != "TEST_ACTIONS" || a.Seq != 1 || a.Duplicate || a.Error.Code != 0 {
		t.Errorf("the answer is %+v", a)
	}
	if a := r.request(nc, msg); !a.Duplicate {
		t.Errorf("the second answer is %+v", a)
	}
	if res := results.wants("x", event.ActionConfirmed, ""); res.By != outbox.NATS {
		t.Errorf("by %s", res.By)
	}
}
