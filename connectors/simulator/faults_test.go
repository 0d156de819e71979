package simulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

// soon is long enough for an answer, and short enough to wait for one in vain.
const soon = 200 * time.Millisecond

func TestDropEndsSocketsWithoutAHandshake(t *testing.T) {
	b := serve(t, simulator.Options{})
	first, second := b.dial(t), b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Drop})
	for _, c := range []*client{first, second} {
		if err := c.ended(t); websocket.CloseStatus(err) != -1 {
			t.Errorf("it ended with %v", err)
		}
	}
	if s := b.stats(t); s.Sockets.Closed != 2 || s.Sockets.Open != 0 {
		t.Errorf("counts are %+v", s.Sockets)
	}
	b.dial(t).hearsNothingElse(t)
}

func TestHalfOpenIsSilentUntilItEnds(t *testing.T) {
	for name, end := range map[string]func(*backend){
		"cleared": func(b *backend) { _, _ = b.ClearFault("7", simulator.HalfOpen) },
		"dropped": func(b *backend) { _ = b.SetFault(simulator.Fault{Account: "7", Name: simulator.Drop}) },
		"closed":  func(b *backend) { _ = b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, simulator.Options{})
			id := b.open(t)
			frozen := b.dial(t)
			b.fault(t, simulator.Fault{Name: simulator.HalfOpen})
			healthy := b.dial(t)
			b.write(t, id, "Anyone there?")
			healthy.next(t, "message.new")
			frozen.send(t, `{"type":"mark_as_read","data":{"conversation_id":1}}`) // the write succeeds
			if frozen.answersPing(t, soon) {
				t.Error("a ping is answered")
			}
			healthy.hearsNothingElse(t)
			if s := b.stats(t); s.Sockets.Open != 2 || s.Withheld != 1 || s.Actions["mark_as_read"] != 0 {
				t.Errorf("counts are %+v", s)
			}
			end(b)
			if err := frozen.ended(t); websocket.CloseStatus(err) != -1 {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestAFaultEndsAfterItsDuration(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.HalfOpen, Duration: time.Millisecond})
	if err := c.ended(t); websocket.CloseStatus(err) != -1 {
		t.Errorf("it ended with %v", err)
	}
	if got := b.Faults(); len(got) != 0 {
		t.Errorf("in force: %+v", got)
	}
}

func TestRestartIsAwayForAWhile(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Restart, Duration: time.Hour})
	if err := c.ended(t); websocket.CloseStatus(err) != -1 {
		t.Errorf("it ended with %v", err)
	}
	if got := b.refused(t, "7", token); got != http.StatusServiceUnavailable {
		t.Errorf("handshake: status %d", got)
	}
	if got := b.do(t, "GET", list, "", nil); got != http.StatusServiceUnavailable {
		t.Errorf("REST: status %d", got)
	}
	b.open(t)
	if s := b.stats(t).Events["conversation.new"]; s.Total != 1 || s.Heard != 0 {
		t.Errorf("what happened meanwhile is counted as %+v", s)
	}
	b.fault(t, simulator.Fault{Name: simulator.Restart, Duration: time.Millisecond})
	for len(b.Faults()) > 0 { // until it is back by itself
		b.do(t, "GET", list, "", nil)
	}
	b.dial(t).hearsNothingElse(t)
}

func TestRefuseAnswersHandshakesUntilCleared(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Refuse})
	if got := b.refused(t, "7", token); got != http.StatusForbidden {
		t.Errorf("status %d", got)
	}
	b.fault(t, simulator.Fault{Name: simulator.Refuse, Code: 4401})
	if err := b.dial(t).ended(t); websocket.CloseStatus(err) != 4401 {
		t.Errorf("it ended with %v", err)
	}
	if s := b.stats(t).Sockets; s.Refused != 2 || s.Opened != 1 {
		t.Errorf("counts are %+v", s)
	}
	c.hearsNothingElse(t) // what was open stays
	if n, err := b.ClearFault("", ""); n != 1 || err != nil {
		t.Errorf("cleared %d, %v", n, err)
	}
	b.dial(t).hearsNothingElse(t)
}

func TestMalformedFrames(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	for kind, check := range map[string]func(raw []byte) bool{
		"":             func(raw []byte) bool { return !json.Valid(raw) },
		"not-json":     func(raw []byte) bool { return !json.Valid(raw) },
		"no-type":      func(raw []byte) bool { return json.Valid(raw) && !bytes.Contains(raw, []byte(`"type"`)) },
		"array":        func(raw []byte) bool { return json.Valid(raw) && raw[0] == '[' },
		"invalid-utf8": func(raw []byte) bool { return !utf8.Valid(raw) },
	} {
		b.fault(t, simulator.Fault{Name: simulator.Malformed, Kind: kind})
		if raw := c.raw(t); !check(raw) {
			t.Errorf("kind %q is %q", kind, raw)
		}
	}
	if s := b.stats(t); s.Injected != 5 || len(s.Events) != 0 {
		t.Errorf("counts are %+v", s)
	}
	c.hearsNothingElse(t)
	b.fault(t, simulator.Fault{Name: simulator.Malformed, Kind: "too-big"})
	if err := c.ended(t); !errors.Is(err, websocket.ErrMessageTooBig) {
		t.Errorf("it ended with %v", err)
	}
}

func TestABurstLosesWhatALayerCannotHold(t *testing.T) {
	b := serve(t, simulator.Options{})
	first, second := b.dial(t), b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Burst})
	after := b.write(t, 1, "After the burst")
	for _, c := range []*client{first, second} {
		c.next(t, "conversation.new")
		for id := 1; id <= 100; id++ {
			if got := c.next(t, "message.new")["id"]; got != float64(id) {
				t.Fatalf("got message %v, want %d", got, id)
			}
		}
		if got := c.next(t, "message.new")["id"]; got != float64(after) {
			t.Errorf("after the burst came message %v, want %d", got, after)
		}
	}
	s := b.stats(t)
	if s.Messages != 1001 || s.Withheld != 2*900 || s.Events["message.new"] != (simulator.EventCount{Total: 1001, Heard: 1001}) {
		t.Errorf("counts are %+v", s)
	}
	var d struct{ Messages []struct{ ID int64 } }
	if b.do(t, "GET", list+"1/", "", &d); len(d.Messages) != 1001 {
		t.Errorf("REST has %d messages", len(d.Messages))
	}
}

func TestADeafSocketGetsNoEventsButAnswers(t *testing.T) {
	b := serve(t, simulator.Options{})
	id := b.open(t)
	deaf := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Deaf})
	healthy := b.dial(t)
	deaf.send(t, `{"type":"mark_as_read","data":{"conversation_id":1}}`)
	healthy.next(t, "conversation.updated")
	b.write(t, id, "Hello?")
	healthy.next(t, "message.new")
	deaf.hearsNothingElse(t)
	if !deaf.answersPing(t, 10*time.Second) {
		t.Error("a WebSocket ping is not answered")
	}
	if s := b.stats(t); s.Withheld != 2 {
		t.Errorf("%d frames were withheld", s.Withheld)
	}
	if _, err := b.ClearFault("7", simulator.Deaf); err != nil {
		t.Fatal(err)
	}
	b.write(t, id, "There you are")
	deaf.next(t, "message.new")
}

func TestSlowDelaysEachFrame(t *testing.T) {
	const delay, frames = 20 * time.Millisecond, 5
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Slow, Delay: delay})
	began := time.Now()
	for range frames {
		b.open(t)
	}
	for range frames {
		c.next(t, "conversation.new")
	}
	if took := time.Since(began); took < frames*delay {
		t.Errorf("%d frames took %v", frames, took)
	}
	// A socket that waits can still be ended.
	b.fault(t, simulator.Fault{Name: simulator.Slow, Delay: time.Hour})
	b.open(t)
	b.fault(t, simulator.Fault{Name: simulator.Drop})
	_ = c.ended(t)
}

func TestDuplicateSendsEachEventTwice(t *testing.T) {
	b := serve(t, simulator.Options{})
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Duplicate})
	b.write(t, b.open(t), "Hello")
	for _, kind := range []string{"conversation.new", "conversation.new", "message.new", "message.new"} {
		c.next(t, kind)
	}
	c.hearsNothingElse(t)
	if s := b.stats(t); s.Messages != 1 || s.Events["message.new"].Total != 1 {
		t.Errorf("counts are %+v", s)
	}
}

func TestNoPongAnswersNeitherPing(t *testing.T) {
	b := serve(t, simulator.Options{})
	b.open(t)
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.NoPong})
	c.send(t, `{"type":"ping"}`)
	c.send(t, `{"type":"mark_as_read","data":{"conversation_id":1}}`)
	c.next(t, "conversation.updated")
	if c.answersPing(t, soon) {
		t.Error("a WebSocket ping is answered")
	}
	if _, err := b.ClearFault("7", simulator.NoPong); err != nil {
		t.Fatal(err)
	}
	c.hearsNothingElse(t)
	if !c.answersPing(t, 10*time.Second) {
		t.Error("a WebSocket ping is not answered after the fault")
	}
}

func TestFaultsAreAnAccountsOwn(t *testing.T) {
	b := serve(t, simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: token}, {ID: "8", Token: token}}})
	c := b.dialAccount(t, "8")
	for _, name := range []simulator.FaultName{simulator.Deaf, simulator.Restart, simulator.HalfOpen, simulator.Drop} {
		b.fault(t, simulator.Fault{Name: name})
	}
	if _, err := b.OpenConversation("8", "Ada"); err != nil {
		t.Fatal(err)
	}
	c.next(t, "conversation.new")
	b.dialAccount(t, "8").hearsNothingElse(t)
}
