package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestActionsOfAConversationGoOneByOneInTheirOrder(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results := r.watch()
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 5 * time.Millisecond})
	const conversations, count = 3, 10
	want := map[string][]string{}
	for range conversations {
		want[r.conversation()] = numbers(count)
	}
	for _, text := range numbers(count) {
		for conversation := range want {
			r.act(send(conversation, conversation+"/"+text, text))
		}
	}
	unconfirmed := map[string]string{}
	for range 2 * conversations * count {
		res := results.next()
		switch {
		case res.kind == event.ActionSent && unconfirmed[res.Conversation] != "":
			t.Fatalf("%s was sent while %s was unconfirmed", res.ID, unconfirmed[res.Conversation])
		case res.kind == event.ActionSent:
			unconfirmed[res.Conversation] = res.ID
		case res.kind != event.ActionConfirmed || unconfirmed[res.Conversation] != res.ID:
			t.Fatalf("%+v came while %q was under way", res, unconfirmed[res.Conversation])
		default:
			unconfirmed[res.Conversation] = ""
		}
	}
	for conversation, texts := range want {
		if got := r.contents(conversation); !slices.Equal(got, texts) {
			t.Errorf("conversation %s has %q", conversation, got)
		}
	}
}

func TestConversationsDoNotWaitForEachOther(t *testing.T) {
	r := start(t, simulator.Options{}, func(o *outbox.Options) { o.Confirm, o.Drain = time.Minute, 10*time.Millisecond })
	results, conversation := r.watch(), r.conversation()
	r.act(send("99", "stuck", "it is never echoed"))
	r.act(send("99", "behind", "it waits"))
	for _, text := range numbers(5) {
		r.act(send(conversation, text, text))
	}
	for _, text := range numbers(5) {
		results.wants(text, event.ActionConfirmed, "")
	}
	// One is stuck, one waits for it.
	r.counts(outbox.Status{Accepted: 7, Sent: 6, Confirmed: 5, Waiting: 2})
}

func TestActionsAreKeptWhileDisconnectedAndSentInOrder(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, one, two := r.watch(), r.conversation(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range numbers(10) {
		r.act(send(one, "1/"+text, text))
		r.act(send(two, "2/"+text, text))
	}
	if s := r.outbox.Status(); s.Accepted != 20 || s.Sent != 0 || len(r.stats().Actions) != 0 {
		t.Errorf("status = %+v", s)
	}
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if res := results.end(); res.kind != event.ActionConfirmed {
			t.Errorf("%+v", res)
		}
	}
	for _, conversation := range []string{one, two} {
		if got := r.contents(conversation); !slices.Equal(got, numbers(10)) {
			t.Errorf("conversation %s has %q", conversation, got)
		}
	}
	if doubles := r.stats().Doubles(); len(doubles) > 0 {
		t.Errorf("done twice: %q", doubles)
	}
}

func TestAnActionThatIsTooLateExpires(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := send(conversation, "late", "hello")
	late.Expires = time.Now().Add(200 * time.Millisecond)
	r.act(late)
	r.act(send(conversation, "x", "after it"))
	if res := results.wants("late", event.ActionExpired, "not sent by "+late.Expires.UTC().Format(time.RFC3339)); res.Attempts != 0 {
		t.Errorf("%d attempts", res.Attempts)
	}
	if err := r.link.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	results.wants("x", event.ActionConfirmed, "")
	if got := r.contents(conversation); !slices.Equal(got, []string{"after it"}) {
		t.Errorf("messages: %q", got)
	}
	r.counts(outbox.Status{Accepted: 2, Sent: 1, Confirmed: 1, Expired: 1})
	if n := len(r.dead(conversation)); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

func TestAnActionIsNotSentBeforeItsTime(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	due := time.Now().Add(800 * time.Millisecond)
	later, tomorrow := send(conversation, "later", "later"), send(conversation, "tomorrow", "tomorrow")
	later.At, tomorrow.At = due, time.Now().Add(24*time.Hour)
	r.act(later)
	r.act(tomorrow)
	r.act(send(conversation, "now", "now")) // it does not wait for the others
	results.wants("now", event.ActionConfirmed, "")
	r.stop() // and they are held over a restart

	r.open()
	results = r.watch()
	r.run()
	results.wants("later", event.ActionConfirmed, "")
	messages := r.messages(conversation)
	if len(messages) != 2 || messages[1].Content != "later" || messages[1].CreatedAt.Before(due.Truncate(time.Microsecond)) {
		t.Errorf("messages: %+v, due %s", messages, due)
	}
}

func TestRunFinishesWhatIsUnderWay(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.connect()
	stop := r.background(func(ctx context.Context) error { r.err = r.outbox.Run(ctx); return r.err })
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 300 * time.Millisecond})
	r.act(send(conversation, "1", "one"))
	r.act(send(conversation, "2", "two"))
	if res := results.next(); res.kind != event.ActionSent || res.ID != "1" {
		t.Fatalf("first came %+v", res)
	}
	stop()
	if !errors.Is(r.err, errStopped) {
		t.Errorf("Run returned %v", r.err)
	}
	results.wants("1", event.ActionConfirmed, "")
	r.counts(outbox.Status{Accepted: 2, Sent: 1, Confirmed: 1})
	r.stop()

	r.open()
	results = r.watch()
	r.run()
	results.wants("2", event.ActionConfirmed, "")
	if got := r.contents(conversation); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("messages: %q", got)
	}
}

func TestRunGivesWhatIsUnderWayAnEndOfItsTime(t *testing.T) {
	r := prepare(t, simulator.Options{}, func(o *outbox.Options) { o.Drain = 100 * time.Millisecond })
	r.open()
	results := r.watch()
	r.connect()
	stop := r.background(r.outbox.Run)
	r.act(send("99", "x", "it is never echoed"))
	if res := results.next(); res.kind != event.ActionSent {
		t.Fatalf("first came %+v", res)
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("Run ended after %s", took)
	}
	r.stop()

	r.open()
	results = r.watch()
	r.run()
	results.wants("x", event.ActionFailed, "unclear: the bridge ended while it was being sent")
}

func TestRunEndsWhenTheQueueIsGone(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	conversation := r.conversation()
	if err := r.link.Disconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	tomorrow := send(conversation, "tomorrow", "tomorrow")
	tomorrow.At = time.Now().Add(24 * time.Hour)
	r.act(tomorrow)
	r.act(send(conversation, "waits", "waits for the link"))
	ended := make(chan error)
	other := outbox.New(outbox.Options{Account: "7", Bus: r.bus, Link: r.link, Log: slog.New(slog.DiscardHandler)})
	r.stops[len(r.stops)-1]() // the first ends, and another takes its place
	go func() { ended <- other.Run(context.Background()) }()
	r.until("two actions wait", func() bool { return other.Status().Waiting == 2 })
	if err := r.guest().DeleteConsumer(t.Context(), "TEST_ACTIONS", "outbox_7"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "take actions of account 7: ") {
			t.Errorf("err = %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run goes on")
	}
}

func TestAnEndThatCannotBeWrittenIsWrittenLaterAndNothingIsDoneTwice(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	js := r.guest()
	ledger, err := js.Stream(t.Context(), "TEST_LEDGER")
	if err != nil {
		t.Fatal(err)
	}
	r.fault(simulator.Fault{Name: simulator.Slow, Delay: 500 * time.Millisecond})
	r.act(send(conversation, "x", "hello"))
	if res := results.next(); res.kind != event.ActionSent {
		t.Fatalf("first came %+v", res)
	}
	if err := js.DeleteStream(t.Context(), "TEST_LEDGER"); err != nil {
		t.Fatal(err)
	}
	r.until("its end could not be written", func() bool {
		return r.claimed("7/message.new/1") != "" && strings.Contains(r.log.String(), "action waits")
	})
	if _, err := js.CreateStream(t.Context(), ledger.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	results.wants("x", event.ActionConfirmed, "")
	if n := r.stats().Refs["bot/x"]; n != 1 {
		t.Errorf("it was done %d times", n)
	}
}
