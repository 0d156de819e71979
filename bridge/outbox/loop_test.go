package outbox_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

// Two bots that answer each other without end are cut at the door, whichever
// way they come in, and go on when a person writes.
func TestBotsThatAnswerEachOtherAreCut(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Loop = outbox.Loop{Turns: 4, Within: time.Hour} })
	conversation, other := r.conversation(), r.conversation()
	n := 0
	say := func(by string) error {
		n++
		_, err := r.door.Act(t.Context(), by, send(conversation, fmt.Sprint(n), "hello"))
		return err
	}
	for turn := range 5 {
		if err := say([]string{"a", "b"}[turn%2]); err != nil {
			t.Fatalf("turn %d: %v", turn, err)
		}
	}
	for range 3 {
		if err := say("b"); !errors.Is(err, outbox.ErrLoop) || !strings.Contains(err.Error(), `4 turns of "a"`) {
			t.Errorf("one turn too many: %v", err)
		}
	}
	// The same again is the same, and no turn.
	if duplicate, err := r.door.Act(t.Context(), "b", send(conversation, "2", "hello")); !duplicate || err != nil {
		t.Errorf("what was accepted before: %t, %v", duplicate, err)
	}
	if _, err := r.door.Act(t.Context(), "b", send(other, "x", "hello")); err != nil {
		t.Errorf("in another conversation: %v", err)
	}
	r.background(r.door.Run)
	r.until("the door is open", func() bool {
		_, err := r.connectNATS().Request("test.action.7.1.send_message", nil, patience)
		return err == nil
	})
	refused := r.outbox.Status().Refused
	m := nats.NewMsg("test.action.7." + conversation + ".send_message")
	m.Header.Set(nats.MsgIdHdr, "nats")
	m.Data = []byte(`{"content":"hello"}`)
	answer, err := r.connectNATS().RequestMsg(m, patience)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(answer.Data), "508") || !strings.Contains(string(answer.Data), "bots answer each other") {
		t.Errorf("over NATS: %s", answer.Data)
	}
	if s := r.outbox.Status(); s.Looped != 4 || s.Refused != refused+1 {
		t.Errorf("status %+v", s)
	}
	if logged := strings.Count(r.log.String(), "the chain is cut"); logged != 1 {
		t.Errorf("it was logged %d times", logged)
	}
	r.until("the echoes are here", func() bool { return r.outbox.Status().Confirmed == 6 })
	if err := say("b"); !errors.Is(err, outbox.ErrLoop) {
		t.Errorf("their echoes count as a person's: %v", err)
	}
	id, err := strconv.ParseInt(conversation, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.sim.CustomerWrites("7", id, "is anybody there?"); err != nil {
		t.Fatal(err)
	}
	r.until("a person ended it", func() bool { return say("b") == nil })
}
