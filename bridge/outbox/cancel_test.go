package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

const cancelledByOperator = "cancelled by operator"

func (r *rig) cancel(id string) error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	return r.door.Cancel(ctx, "7", sender, id)
}

// cancels has the action cancelled, and asserts that all of it was told and
// written when Cancel returned.
func (r *rig) cancels(id string) {
	r.t.Helper()
	if err := r.cancel(id); err != nil {
		r.t.Fatalf("%s: %v", id, err)
	}
	if slices.Contains(r.waiting(), id) {
		r.t.Errorf("%s is cancelled and still in the queue", id)
	}
	if err := r.cancel(id); !errors.Is(err, outbox.ErrNotWaiting) {
		r.t.Errorf("%s was cancelled a second time: %v", id, err)
	}
}

// waiting are the ids of what the sender has in the queue.
func (r *rig) waiting() (ids []string) {
	r.t.Helper()
	list, err := r.door.Waiting(r.t.Context(), "7", sender)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, w := range list {
		ids = append(ids, w.ID)
	}
	return ids
}

func TestAnActionThatWaitsIsCancelled(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Held, o.Limits.WaitingPerSender = 4, 7 })
	results, conversation := r.watch(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := func(id string, wait time.Duration) event.Action {
		a := send(conversation, id, id)
		a.At = time.Now().Add(wait)
		return a
	}
	r.act(later("parked", time.Hour))
	r.act(later("soon", 3*time.Second))
	r.act(send(conversation, "head", "head"))
	r.act(send(conversation, "behind", "behind"))
	r.act(send(conversation, "queued", "queued")) // there is no room for it outside of the queue
	r.act(send(conversation, "stays", "stays"))
	r.act(send(conversation, "another", "another"))
	if _, err := r.door.Act(t.Context(), sender, send(conversation, "full", "full")); !errors.Is(err, outbox.ErrFull) {
		t.Fatalf("an eighth was accepted: %v", err)
	}
	if want := []string{"parked", "soon", "head", "behind", "queued", "stays", "another"}; !slices.Equal(r.waiting(), want) {
		t.Errorf("the queue has %q, want %q", r.waiting(), want)
	}
	for _, id := range []string{"behind", "head", "parked", "queued", "soon"} {
		r.cancels(id)
		res := results.wants(id, event.ActionFailed, cancelledByOperator)
		if res.Attempts != 0 {
			t.Errorf("%s had %d attempts", id, res.Attempts)
		}
	}
	r.act(send(conversation, "room", "room")) // what is cancelled takes none
	if dup := r.act(send(conversation, "head", "head")); !dup {
		t.Error("the id of a cancelled action was accepted again")
	}
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"stays", "another", "room"} {
		results.wants(id, event.ActionConfirmed, "")
	}
	if got := r.contents(conversation); !slices.Equal(got, []string{"stays", "another", "room"}) {
		t.Errorf("the backend has %q", got)
	}
	if n := len(r.dead(conversation)); n != 0 {
		t.Errorf("%d dead letters of cancelled actions", n)
	}
	r.counts(outbox.Status{Accepted: 8, Duplicates: 1, Refused: 1, Sent: 3, Confirmed: 3, Failed: 5})
}

func TestCancelNamesTheActionOfOneSender(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results := r.watch()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{sender, "another"} {
		if _, err := r.door.Act(t.Context(), name, send("1", "x", "of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	r.cancels("x")
	if res := results.wants("x", event.ActionFailed, cancelledByOperator); res.By != sender {
		t.Errorf("that of %s was cancelled", res.By)
	}
	list, err := r.door.Waiting(t.Context(), "7", "another")
	if err != nil || len(list) != 1 || list[0].ID != "x" || list[0].State != "waiting" {
		t.Errorf("that of the other sender: %+v, %v", list, err)
	}
	if err := r.door.Cancel(t.Context(), "7", "nobody", "x"); !errors.Is(err, outbox.ErrNotWaiting) {
		t.Errorf("err = %v", err)
	}
	if err := r.door.Cancel(t.Context(), "8", sender, "x"); !errors.Is(err, outbox.ErrUnknownAccount) {
		t.Errorf("err = %v", err)
	}
}

func TestAnActionThatIsBeingSentIsNotCancelled(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Confirm, o.Drain = time.Minute, time.Millisecond })
	results := r.watch()
	r.act(send("99", "stuck", "it is never echoed"))
	r.act(send("99", "behind", "it waits"))
	r.until("sent", func() bool { return r.outbox.Status().Sent == 1 })
	if err := r.cancel("stuck"); !errors.Is(err, outbox.ErrSending) {
		t.Fatalf("err = %v", err)
	}
	list, err := r.door.Waiting(t.Context(), "", "")
	if err != nil || len(list) != 2 || list[0].State != "sending" || list[1].State != "waiting" {
		t.Errorf("the queue has %+v, %v", list, err)
	}
	r.cancels("behind")
	results.wants("behind", event.ActionFailed, cancelledByOperator)

	// What an earlier process was sending is not cancelled either.
	r.stop()
	r.change = func(o *outbox.Options) { o.Confirm = time.Minute }
	r.open()
	r.runOutbox()
	r.until("running", func() bool { return r.outbox.Status().Waiting == 1 })
	if err := r.cancel("stuck"); !errors.Is(err, outbox.ErrSending) && !errors.Is(err, outbox.ErrNotWaiting) {
		t.Fatalf("err = %v", err)
	}
}

// What is cancelled was not sent, and what was sent is not cancelled, whenever
// the operator asks.
func TestCancelAgainstSending(t *testing.T) {
	const count = 60
	r := start(t, simulator.Options{}, nil)
	results, conversation, another := r.watch(), r.conversation(), r.conversation()
	place := func(n int) string { return []string{conversation, another}[n%2] }
	answers := make([]error, count)
	var cancelling sync.WaitGroup
	for n := range count {
		id := fmt.Sprint(n)
		r.act(send(place(n), id, id))
		cancelling.Go(func() { answers[n] = r.cancel(id) })
	}
	ends := map[string]result{}
	for range count {
		res := results.end()
		if _, twice := ends[res.ID]; twice {
			t.Errorf("%s ended twice", res.ID)
		}
		ends[res.ID] = res
	}
	cancelling.Wait()
	done := append(r.contents(conversation), r.contents(another)...)
	cancelled := 0
	for n := range count {
		id := fmt.Sprint(n)
		switch sent := slices.Contains(done, id); {
		case answers[n] == nil && (sent || ends[id].kind != event.ActionFailed || ends[id].Reason != cancelledByOperator):
			t.Errorf("%s was cancelled; sent %t, end %+v", id, sent, ends[id])
		case answers[n] != nil && (!sent || ends[id].kind != event.ActionConfirmed):
			t.Errorf("%s was not cancelled: %v; sent %t, end %+v", id, answers[n], sent, ends[id])
		case answers[n] != nil && !errors.Is(answers[n], outbox.ErrSending) && !errors.Is(answers[n], outbox.ErrNotWaiting):
			t.Errorf("%s: %v", id, answers[n])
		case answers[n] == nil:
			cancelled++
		}
	}
	t.Logf("%d of %d were cancelled", cancelled, count)
	r.counts(outbox.Status{Accepted: count, Sent: uint64(count - cancelled), Confirmed: uint64(count - cancelled), Failed: uint64(cancelled)})
}

func TestACancellationThatWasCutShortIsFinished(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	conversation := r.conversation()
	r.act(send(conversation, "x", "hello"))
	err := r.bus.WriteLedger(t.Context(), "7", sender, "x", []byte(`{"state":"action.failed","attempts":0,"reason":"cancelled by operator","cancelled":true}`))
	if err != nil {
		t.Fatal(err)
	}
	results := r.watch()
	r.run()
	results.wants("x", event.ActionFailed, cancelledByOperator)
	r.counts(outbox.Status{Accepted: 1, Failed: 1})
	if n := len(r.dead(conversation)) + len(r.contents(conversation)) + len(r.waiting()); n != 0 {
		t.Errorf("it is sent, a dead letter, or in the queue")
	}
}
