package outbox

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func numbered(n int) event.Action {
	return event.Action{ID: fmt.Sprint(n), Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"content":"x"}`)}
}

// ask says whether the action is to be queued, and else what it was answered.
func (k *keys) ask(a event.Action) (admitted bool, answered *bus.Answer) {
	admitted = k.begin("bot", a, hashOf(a), func(a bus.Answer) { answered = &a })
	return admitted, answered
}

func TestAnIDIsForgottenADayAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys("7", Limits{})
		for n := range 3 {
			if admitted, _ := k.ask(numbered(n)); !admitted {
				t.Fatalf("action %d: not admitted", n)
			}
			k.end("bot", fmt.Sprint(n), uint64(n+1), nil, false)
		}
		time.Sleep(10 * time.Hour)
		k.done("bot", "0", "")
		time.Sleep(23 * time.Hour)
		k.done("bot", "1", "")
		if admitted, a := k.ask(numbered(0)); admitted || !a.Duplicate || a.Sequence != 1 {
			t.Errorf("23 hours after its end: admitted %t, %+v", admitted, a)
		}
		time.Sleep(2 * time.Hour)
		for n, want := range []bool{true, false, false} { // the last waits, however long
			if admitted, a := k.ask(numbered(n)); admitted != want {
				t.Errorf("action %d, 25 hours after the first's end: admitted %t, %+v", n, admitted, a)
			}
		}
		if k.backlog.waiting != 2 || k.backlog.bytes != 30 {
			t.Errorf("the backlog is %+v", k.backlog)
		}
	})
}

func TestWhatMayBeInTheQueueKeepsItsID(t *testing.T) {
	k := newKeys("7", Limits{})
	k.ask(numbered(1))
	k.end("bot", "1", 0, errors.New("timeout"), true)
	other := numbered(1)
	other.Body = []byte(`{"content":"y"}`)
	if admitted, a := k.ask(other); admitted || !errors.Is(a.Err, ErrKeyReused) {
		t.Errorf("another payload: admitted %t, %+v", admitted, a)
	}
	if admitted, a := k.ask(numbered(1)); !admitted {
		t.Errorf("the same: %+v", a)
	}
	k.end("bot", "1", 0, errors.New("not even tried"), false)
	if admitted, a := k.ask(other); admitted || !errors.Is(a.Err, ErrKeyReused) {
		t.Errorf("another payload, after the second attempt: admitted %t, %+v", admitted, a)
	}
	if admitted, a := k.ask(numbered(1)); !admitted {
		t.Errorf("the same again: %+v", a)
	}
	k.done("bot", "1", "") // before its acknowledgement
	k.end("bot", "1", 9, nil, false)
	if admitted, a := k.ask(numbered(1)); admitted || !a.Duplicate || a.Sequence != 9 || k.backlog.waiting != 0 || len(k.backlog.bySender) != 0 {
		t.Errorf("admitted %t, %+v, backlog %+v", admitted, a, k.backlog)
	}
}
