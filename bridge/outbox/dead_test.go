package outbox_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// letters are the dead letters that the filter selects.
func (r *rig) letters(f bus.DeadFilter) (list []bus.DeadLetter) {
	r.t.Helper()
	for d, err := range r.bus.Dead(r.t.Context(), f) {
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

func TestADeadLetterIsReplayedAsANewActionOfItsSender(t *testing.T) {
	r := start(t, simulator.Options{EchoRef: true}, nil)
	results := r.watch()
	a := send("99", "x", "to nobody")
	a.Expires = time.Now().Add(time.Hour)
	r.act(a)
	results.wants("x", event.ActionFailed, "refused by the backend")
	for want := 1; want <= 2; want++ { // the second time it is one that was replayed
		letters := r.letters(bus.DeadFilter{Owner: bus.OutboxOwner})
		if len(letters) != 1 {
			t.Fatalf("dead letters %+v", letters)
		}
		d := letters[0]
		if d.Sequence != uint64(want) || d.Account != "7" || d.Conversation != "99" || d.Type() != "send_message" || d.Attempts != 1 {
			t.Errorf("dead letter %+v", d)
		}
		id, err := r.door.Replay(t.Context(), d.Sequence)
		if err != nil || id != fmt.Sprintf("x/replay-%d", want) {
			t.Fatalf("Replay: %q, %v", id, err)
		}
		if res := results.wants(id, event.ActionFailed, "refused by the backend"); res.By != sender {
			t.Errorf("it is %s's", res.By)
		}
		if _, err := r.door.Replay(t.Context(), d.Sequence); !errors.Is(err, bus.ErrNoDeadLetter) {
			t.Errorf("replayed twice: %v", err)
		}
	}
}

func TestAPluginsDeadLetterStaysWhereItIs(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	feed, err := r.bus.OpenFeed(t.Context(), bus.FeedSpec{
		Owner: "greeter", Name: "all", Accounts: []string{"7"}, Events: []event.Pattern{"action.confirmed"}, Held: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.stops = append(r.stops, feed.Close)
	conversation := r.conversation()
	r.act(send(conversation, "x", "hello"))
	delivery, err := feed.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := delivery.Dead(t.Context(), "it does not like it", 3); err != nil {
		t.Fatal(err)
	}
	if n := len(r.letters(bus.DeadFilter{Owner: bus.OutboxOwner})) + len(r.letters(bus.DeadFilter{Account: "8"})); n != 0 {
		t.Errorf("%d dead letters of others", n)
	}
	letters := r.letters(bus.DeadFilter{Owner: "greeter", Account: "7", Conversation: conversation})
	if len(letters) != 1 || letters[0].ID() != delivery.Event.ID || letters[0].Type() != "action.confirmed" ||
		letters[0].Reason != "it does not like it" || letters[0].Attempts != 3 {
		t.Fatalf("dead letters %+v", letters)
	}
	if _, err := r.door.Replay(t.Context(), letters[0].Sequence); !errors.Is(err, outbox.ErrNotReplayable) {
		t.Errorf("err = %v", err)
	}
	if n := len(r.letters(bus.DeadFilter{})); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	for range 2 { // what is gone is as good as removed
		if err := r.bus.DropDead(t.Context(), letters[0].Sequence); err != nil {
			t.Error(err)
		}
	}
	if n := len(r.letters(bus.DeadFilter{})); n != 0 {
		t.Errorf("%d dead letters are left", n)
	}
}
