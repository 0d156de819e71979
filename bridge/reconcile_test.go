package bridge_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// often compares all the time.
func often(a *bridge.Account) {
	a.Reconcile.Interval, a.Reconcile.Settle, a.Reconcile.Sweep, a.Reconcile.Rate = 50*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 1000
}

// never compares on its own.
func never(a *bridge.Account) { a.Reconcile.Interval, a.Reconcile.Sweep = time.Hour, time.Hour }

func (r *rig) writes(conversation int64, text string) (message int64) {
	r.t.Helper()
	message, err := r.sim.CustomerWrites("7", conversation, text)
	if err != nil {
		r.t.Fatal(err)
	}
	return message
}

// has waits until so many events of the type are in the stream.
func (r *rig) has(kind event.Type, n uint64) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d %s in the stream", n, kind), func() bool { return r.count(kind) == n })
}

// events are those of the account 7 that are in the stream now.
func (r *rig) events() (list []event.Event) {
	r.t.Helper()
	err := r.bus.ReadEvents(r.t.Context(), "7", 0, func(_ uint64, e event.Event) error {
		list = append(list, e)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// contents are the messages of a conversation, in the order of the stream.
func (r *rig) contents(conversation int64) (list []string) {
	r.t.Helper()
	for _, e := range r.events() {
		if e.Conversation != fmt.Sprint(conversation) || e.Type != event.MessageNew {
			continue
		}
		v, err := e.Decode()
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, v.(event.Message).Content)
	}
	return list
}

func TestHolesOfABurstAreFoundInTheMiddle(t *testing.T) {
	r := start(t, simulator.Options{}, often)
	r.conversation()
	r.has(event.ConversationNew, 1)
	r.fault(simulator.Fault{Name: simulator.Burst, Count: 500})
	stats, err := r.sim.Stats("7")
	if err != nil {
		t.Fatal(err)
	}
	r.has(event.MessageNew, uint64(stats.Messages))
	last := map[string]int64{}
	replayed := 0
	for _, e := range r.events() {
		if e.Type != event.MessageNew {
			continue
		}
		v, err := e.Decode()
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint(e.Conversation, e.Replayed)
		if id := v.(event.Message).ID; id <= last[line] {
			t.Fatalf("in conversation %s message %d came after %d", e.Conversation, id, last[line])
		} else {
			last[line] = id
		}
		if e.Replayed {
			replayed++
		}
	}
	if replayed == 0 || r.status().Inbound.Replayed < uint64(replayed) {
		t.Errorf("%d are marked as replayed; status %+v", replayed, r.status())
	}
}

func TestThePastIsNoNews(t *testing.T) {
	r := start(t, simulator.Options{History: 120}, often)
	r.until("all conversations are known", func() bool { return r.status().Reconcile.Conversations == 120 })
	r.writes(1, "now")
	r.has(event.MessageNew, 1)
	if list := r.events(); len(list) != 1 {
		t.Errorf("%d events are in the stream, and the first is %s", len(list), list[0].Type)
	}
}

func TestABackfillPublishesThePastThatWasAskedFor(t *testing.T) {
	r := start(t, simulator.Options{History: 30}, often, func(a *bridge.Account) { a.Reconcile.Backfill = 24 * 365 * time.Hour })
	r.has(event.ConversationNew, 30)
	if r.count(event.MessageNew) == 0 {
		t.Error("no message of the past is in the stream")
	}
}

func TestWhatHappenedWhileTheBridgeWasDownIsFound(t *testing.T) {
	r := start(t, simulator.Options{}, never)
	a, b := r.conversation(), r.conversation()
	r.writes(a, "1")
	edited := r.writes(a, "2")
	r.has(event.MessageNew, 2)
	r.down()

	r.writes(a, "3")
	c := r.conversation()
	r.writes(c, "first")
	if err := r.sim.CustomerEdits("7", edited, "2, edited"); err != nil {
		t.Fatal(err)
	}
	if err := r.sim.SetStatus("7", b, event.StatusResolved); err != nil {
		t.Fatal(err)
	}
	r.up()
	r.writes(a, "4")
	r.has(event.MessageNew, 5)
	r.has(event.MessageUpdated, 1)
	r.has(event.ConversationNew, 3)
	if got := r.contents(a); !slices.Equal(got, []string{"1", "2", "3", "4"}) {
		t.Errorf("the conversation is %q", got)
	}
	// What moves no activity is the sweep's to find.
	r.down()
	r.change = append(r.change, often)
	r.up()
	r.has(event.ConversationUpdated, 1)
	for _, e := range r.events() {
		if e.Type == event.ConversationUpdated && (!e.Replayed || e.Conversation != fmt.Sprint(b)) {
			t.Errorf("conversation %s was told, replayed %t", e.Conversation, e.Replayed)
		}
	}
	if n := len(r.events()); n != 3+5+1+1 {
		t.Errorf("%d events are in the stream", n)
	}
}

func TestEventsThatTheStreamLostAreFetchedAgain(t *testing.T) {
	r := start(t, simulator.Options{}, never)
	id := r.conversation()
	for n := range 20 {
		r.writes(id, fmt.Sprint(n))
	}
	r.has(event.MessageNew, 20)
	r.down()

	// As an unclean end does, only more.
	b, err := bus.Open(t.Context(), bus.Options{DataDir: r.dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Listen: "127.0.0.1:0", Log: r.quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r.bus, r.stop = b, func() error { return nil }
	js, err := jetstream.New(r.guest())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "TEST_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(15) {
		if err := stream.DeleteMsg(t.Context(), stream.CachedInfo().State.LastSeq-n); err != nil {
			t.Fatal(err)
		}
	}
	r.down()
	r.up()
	r.has(event.MessageNew, 20)
	want := []string{}
	for n := range 20 {
		want = append(want, fmt.Sprint(n))
	}
	if got := r.contents(id); !slices.Equal(got, want) {
		t.Errorf("the conversation is %q", got)
	}
}

func TestRESTThatIsDownStopsNothing(t *testing.T) {
	r := start(t, simulator.Options{}, often)
	id := r.conversation()
	r.fault(simulator.Fault{Name: simulator.Restart, Duration: 500 * time.Millisecond})
	r.writes(id, "unheard")
	r.has(event.MessageNew, 1)
	r.until("the problem is over", func() bool { return r.status().Reconcile.Problem == "" })
}

func TestAMessageOfAnUnknownConversationIsASuspicion(t *testing.T) {
	r := start(t, simulator.Options{History: 1}, never)
	r.fault(simulator.Fault{Name: simulator.Deaf})
	id := r.conversation()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.sim.Await(ctx, "7", func(s simulator.Stats) bool { return s.Withheld > 0 }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.sim.ClearFault("7", simulator.Deaf); err != nil {
		t.Fatal(err)
	}
	r.writes(id, "hello")
	r.has(event.MessageNew, 1)
	r.has(event.ConversationNew, 1)
}
