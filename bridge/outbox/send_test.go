package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestWithoutEchoesWhatWasWrittenIsConfirmed(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.NoEcho = true })
	results, conversation := r.watch(), r.conversation()
	r.fault(done)
	for _, text := range numbers(3) {
		r.act(send(conversation, text, text))
		if res := results.wants(text, event.ActionConfirmed, "written; this backend echoes nothing"); res.Event != "" || res.Attempts != 1 {
			t.Errorf("%+v", res)
		}
	}
	r.await("they are done", func(s simulator.Stats) bool { return s.Messages == 3 })
}

func TestWhatTheBackendRefusesFailsAtOnce(t *testing.T) {
	r := start(t, simulator.Options{EchoRef: true}, func(o *outbox.Options) { o.Confirm = time.Minute })
	results, conversation := r.watch(), r.conversation()
	r.act(send("99", "x", "hello"))
	results.wants("x", event.ActionFailed, "refused by the backend: conversation 99")
	if n := len(r.dead("99")); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	r.act(send(conversation, "y", "hello"))
	results.wants("y", event.ActionConfirmed, "")
}

// busyLink is a link to a backend that turns actions away for a while, which
// no backend does that the simulator could be.
type busyLink struct {
	*link.Link
	left  atomic.Int64 // how many it turns away
	tried atomic.Int64
}

func (l *busyLink) Send(ctx context.Context, a event.Action, ref string) error {
	l.tried.Add(1)
	if l.left.Add(-1) >= 0 {
		return &connectors.Busy{After: time.Millisecond, Err: errors.New("too many requests")}
	}
	return l.Link.Send(ctx, a, ref)
}

func TestWhatIsTurnedAwayForAWhileIsTriedAgain(t *testing.T) {
	tests := []struct {
		name    string
		away    int64
		restart bool
		end     event.Type
		reason  string
		tried   int64
	}{
		{"and sent when it may be", 2, false, event.ActionConfirmed, "", 3},
		{"and fails when its attempts are over", 10, false, event.ActionFailed, "gave up after 3 attempts: too many requests", 3},
		{"and has no more attempts after a restart", 10, true, event.ActionFailed, "gave up after 3 attempts: too many requests", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var busy busyLink
			busy.left.Store(tt.away)
			r := looking(t, simulator.Options{}, func(o *outbox.Options) {
				busy.Link = o.Link.(*link.Link)
				o.Link, o.Attempts = &busy, 3
			})
			conversation := r.conversation()
			r.open()
			results := r.watch()
			r.run()
			r.act(send(conversation, "x", "hello"))
			if tt.restart {
				r.until("it was tried", func() bool { return strings.Contains(r.log.String(), "wants an action later") })
				results = r.restart()
			}
			if res := results.wants("x", tt.end, tt.reason); res.Attempts != 3 || busy.tried.Load() != tt.tried {
				t.Errorf("%d attempts, tried %d times", res.Attempts, busy.tried.Load())
			}
			want := 0
			if tt.end == event.ActionConfirmed {
				want = 1
			}
			if s := r.stats(); s.Messages != want || len(r.dead(conversation)) != 1-want {
				t.Errorf("%d messages, %d dead letters", s.Messages, len(r.dead(conversation)))
			}
		})
	}
}

func TestSendersTakeTurns(t *testing.T) {
	const many, perSecond = 40, 25
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Rate = perSecond })
	results, last := r.watch(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range many {
		r.act(send(r.conversation(), strconv.Itoa(n), "of many"))
	}
	began := time.Now()
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	place := 0
	for n := range many + 1 {
		if n == 3 { // the many wait for their turns
			if _, err := r.door.Act(t.Context(), "another", send(last, "x", "of one")); err != nil {
				t.Fatal(err)
			}
		}
		if res := results.end(); res.kind != event.ActionConfirmed {
			t.Errorf("%+v", res)
		} else if res.By == "another" {
			place = n + 1
		}
	}
	if place > many/2 {
		t.Errorf("the one came as number %d", place)
	}
	if took := time.Since(began); took < many*time.Second/perSecond {
		t.Errorf("%d were sent in %s", many+1, took)
	}
}

func TestReadsThatWaitAreOne(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(id string) event.Action {
		return event.Action{ID: id, Type: event.MarkAsRead, Account: "7", Conversation: conversation}
	}
	// A read behind a message is not one with those before it.
	for _, a := range []event.Action{
		read("1"), read("2"), read("3"), send(conversation, "4", "same"), send(conversation, "5", "same"), read("6"),
	} {
		r.act(a)
	}
	r.until("they wait", func() bool { return r.outbox.Status().Waiting == 6 })
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := map[string]string{}
	for n := range 6 {
		id := strconv.Itoa(n + 1)
		events[id] = results.wants(id, event.ActionConfirmed, "").Event
	}
	if events["1"] == "" || events["2"] != events["1"] || events["3"] != events["1"] || events["6"] == events["1"] {
		t.Errorf("confirmed by %q", events)
	}
	if s := r.stats(); s.Actions[string(event.MarkAsRead)] != 2 || s.Messages != 2 {
		t.Errorf("the backend did %v", s.Actions)
	}
}

func TestWhatIsDueLaterDoesNotKeepOthersInTheQueue(t *testing.T) {
	const future, window = 40, 4
	r := prepare(t, simulator.Options{}, func(o *outbox.Options) { o.Held = window })
	conversation := r.conversation()
	r.open()
	results := r.watch()
	for n := range future {
		a := send(conversation, fmt.Sprintf("tomorrow %d", n), "tomorrow")
		a.At = time.Now().Add(24 * time.Hour)
		r.act(a)
	}
	soon := send(conversation, "soon", "soon")
	soon.At = time.Now().Add(6 * time.Second) // it is put back, and comes again
	r.act(soon)
	r.act(send(conversation, "now", "now"))
	r.run()
	results.wants("now", event.ActionConfirmed, "")
	r.counts(outbox.Status{Accepted: future + 2, Sent: 1, Confirmed: 1, Waiting: future + 1})
	results.wants("soon", event.ActionConfirmed, "")
	messages := r.messages(conversation)
	if late := messages[1].CreatedAt.Sub(soon.At); late < -time.Microsecond || late > time.Second {
		t.Errorf("it was sent %s after it was due", late)
	}

	// And they are held over a restart.
	results = r.restart()
	r.act(send(conversation, "then", "then"))
	results.wants("then", event.ActionConfirmed, "")
	r.counts(outbox.Status{Accepted: 1, Sent: 1, Confirmed: 1, Waiting: future})
}

func TestResultsThatAreMissingAreToldAgain(t *testing.T) {
	r := looking(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	for _, text := range numbers(3) {
		r.act(send(conversation, text, text))
	}
	r.act(send("not-a-number", "bad", "hello"))
	want := map[string]result{}
	for range 4 {
		res := results.end()
		want[res.ID] = res
	}
	r.counts(outbox.Status{Accepted: 4, Sent: 3, Confirmed: 3, Failed: 1})
	// The stream lost its end; what the ledger says stays.
	stream, err := r.guest().Stream(t.Context(), "TEST_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()

	r.open()
	results = r.watch()
	kept := want["text 1"]
	told, err := r.outbox.Retell(t.Context(), time.Now().Add(-time.Minute), func(id string) bool { return id == kept.id })
	if err != nil || told != 3 {
		t.Errorf("%d were told again, %v", told, err)
	}
	delete(want, kept.ID)
	var missing []string
	for range told {
		res := results.next()
		if res != want[res.ID] {
			t.Errorf("told %+v, want %+v", res, want[res.ID])
		}
		missing = append(missing, res.ID)
	}
	if slices.Sort(missing); !slices.Equal(missing, []string{"bad", "text 0", "text 2"}) {
		t.Errorf("told again: %q", missing)
	}
	if told, err := r.outbox.Retell(t.Context(), time.Now(), func(string) bool { return false }); err != nil || told != 0 {
		t.Errorf("%d of before were told, %v", told, err)
	}
}
