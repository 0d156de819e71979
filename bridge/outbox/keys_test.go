package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAnIDStandsForOnePayload(t *testing.T) {
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	first := send("1", "x", "hello")
	first.At, first.Expires = at, at.Add(time.Hour)
	change := func(do func(*event.Action)) event.Action {
		a := first
		do(&a)
		return a
	}
	tests := []struct {
		name      string
		sender    string
		action    event.Action
		duplicate bool
		is        error
	}{
		{"the same again", sender, first, true, nil},
		{"the same at the same time elsewhere", sender, change(func(a *event.Action) { a.At = at.In(time.FixedZone("x", 3600)) }), true, nil},
		{"the same of another trace", sender, change(func(a *event.Action) { a.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }), true, nil},
		{"another text", sender, change(func(a *event.Action) { a.Body = send("1", "", "hello!").Body }), false, outbox.ErrKeyReused},
		{"another conversation", sender, change(func(a *event.Action) { a.Conversation = "2" }), false, outbox.ErrKeyReused},
		{"another type", sender, change(func(a *event.Action) { a.Type, a.Body = event.MarkAsRead, nil }), false, outbox.ErrKeyReused},
		{"another time", sender, change(func(a *event.Action) { a.At = at.Add(time.Second) }), false, outbox.ErrKeyReused},
		{"another end", sender, change(func(a *event.Action) { a.Expires = at.Add(time.Minute) }), false, outbox.ErrKeyReused},
		{"another sender's", "another", change(func(a *event.Action) { a.Body = send("1", "", "hello!").Body }), false, nil},
	}
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	r.act(first)
	for _, restarted := range []bool{false, true} {
		if restarted {
			r.stop()
			r.open()
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, restarted %t", tt.name, restarted), func(t *testing.T) {
				duplicate, err := r.door.Act(t.Context(), tt.sender, tt.action)
				if want := tt.duplicate || restarted && tt.is == nil; duplicate != want || !errors.Is(err, tt.is) {
					t.Errorf("duplicate = %t, err = %v", duplicate, err)
				}
			})
		}
	}
}

func TestTheFirstAnswerIsGivenAgain(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	r.background(r.door.Run)
	nc := r.connectNATS()
	msg := nats.NewMsg("test.action.7.1.mark_as_read")
	msg.Header.Set(nats.MsgIdHdr, "second")
	soon := time.Now().Add(300 * time.Millisecond)
	msg.Header.Set("switchboard-expires", soon.UTC().Format(time.RFC3339Nano))
	r.act(send("1", "first", "hello"))
	if a := r.request(nc, msg); a.Seq != 2 || a.Duplicate || a.Error.Code != 0 {
		t.Fatalf("the answer is %+v", a)
	}
	r.until("it has expired", func() bool { return time.Now().After(soon) })
	if a := r.request(nc, msg); a.Seq != 2 || !a.Duplicate || a.Error.Code != 0 {
		t.Errorf("the second answer is %+v", a)
	}
	msg.Subject = "test.action.7.2.mark_as_read"
	if a := r.request(nc, msg); a.Error.Code != 409 || !strings.Contains(a.Error.Description, `"second" was the id of another action`) {
		t.Errorf("another action's answer is %+v", a)
	}
}

func TestOneOfManyAtOnceIsQueued(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	const keys, times = 20, 20
	var mu sync.Mutex
	first := map[int]int{}
	var acting sync.WaitGroup
	for n := range keys * times {
		acting.Go(func() {
			key := n % keys
			if !r.act(send(fmt.Sprint(key), fmt.Sprint(key), "hello")) {
				mu.Lock()
				defer mu.Unlock()
				first[key]++
			}
		})
	}
	acting.Wait()
	for key := range keys {
		if first[key] != 1 {
			t.Errorf("action %d was queued %d times", key, first[key])
		}
	}
	if s := r.outbox.Status(); s.Accepted != keys || s.Duplicates != keys*(times-1) {
		t.Errorf("status = %+v", s)
	}
}

func TestWhatTellsNATSWhatToDoIsDropped(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	r.background(r.door.Run)
	nc := r.connectNATS()
	r.act(send("1", "first", "hello"))
	msg := nats.NewMsg("test.action.7.1.send_message")
	msg.Data = []byte(`{"content":"hello"}`)
	foreign := map[string]string{
		"Nats-Rollup": "all", "Nats-Expected-Last-Sequence": "99", "Nats-TTL": "1s",
		"Nats-Batch-Id": "b", "Nats-Schedule": "@at 2030-01-01T00:00:00Z", "switchboard-by": "somebody",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nNats-Rollup: all",
	}
	for name, value := range foreign {
		msg.Header.Set(name, value)
	}
	msg.Header.Set(nats.MsgIdHdr, "x")
	if a := r.request(nc, msg); a.Seq != 2 || a.Error.Code != 0 {
		t.Fatalf("the answer is %+v", a)
	}
	evil := send("1\r\nNats-Rollup: all", "evil", "hello")
	evil.TraceParent, evil.TraceState = "a\r\nNats-Rollup: all", "b\nNats-TTL: 1s"
	r.act(evil)
	stream, err := r.guest().Stream(t.Context(), "TEST_ACTIONS")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 3 {
		t.Errorf("%d actions are in the queue", n)
	}
	for s := range uint64(3) {
		m, err := stream.GetMsg(t.Context(), s+1)
		if err != nil {
			t.Fatal(err)
		}
		for name := range foreign {
			if m.Header.Get(name) != "" && strings.HasPrefix(name, "Nats-") {
				t.Errorf("action %d has the header %s", s+1, name)
			}
		}
		if by := m.Header.Get("switchboard-by"); s == 1 && by != outbox.NATS {
			t.Errorf("it is %s's", by)
		}
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	tests := []struct {
		name   string
		limits outbox.Limits
		want   string
	}{
		{"by account", outbox.Limits{Waiting: 3}, "3 actions of account 7 wait already, which is accounts.7.outbox.waiting;"},
		{"by sender", outbox.Limits{WaitingPerSender: 2}, `2 actions of sender "bot" wait already, which is accounts.7.outbox.waiting_per_sender;`},
		{"by size", outbox.Limits{Bytes: 50}, "38 bytes of account 7's actions wait already, and this one has 19, which is more than accounts.7.outbox.bytes (50);"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := prepare(t, simulator.Options{}, func(o *outbox.Options) { o.Limits = tt.limits })
			one, two := r.conversation(), r.conversation()
			r.open()
			r.act(send(one, "1", "hello"))
			r.act(send(two, "2", "hello"))
			if tt.limits.Waiting > 0 {
				if _, err := r.door.Act(t.Context(), "another", send(two, "3", "hello")); err != nil {
					t.Fatal(err)
				}
			}
			full := func(when string) {
				t.Helper()
				_, err := r.door.Act(t.Context(), sender, send(one, "4", "hello"))
				if !errors.Is(err, outbox.ErrFull) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: err = %v", when, err)
				}
				if !r.act(send(one, "1", "hello")) {
					t.Errorf("%s: what was accepted is no duplicate", when)
				}
			}
			full("before a restart")
			r.stop()
			r.open()
			results := r.watch()
			full("after it")

			r.background(r.door.Run)
			msg := nats.NewMsg("test.action.7." + one + ".send_message")
			msg.Header.Set(nats.MsgIdHdr, "5")
			msg.Data = send(one, "5", "hello").Body
			if a := r.request(r.connectNATS(), msg); tt.limits.WaitingPerSender == 0 && a.Error.Code != 429 {
				t.Errorf("over NATS: %+v", a)
			}
			r.run()
			for range r.outbox.Status().Accepted + 2 {
				results.end()
			}
			r.until("there is room", func() bool {
				_, err := r.door.Act(t.Context(), sender, send(one, "4", "hello"))
				return err == nil
			})
		})
	}
}

func TestTheLedgerSaysWhatPayloadAnIDStoodFor(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	results, conversation := r.watch(), r.conversation()
	r.act(send(conversation, "x", "hello"))
	results.wants("x", event.ActionConfirmed, "")
	entry, err := r.bus.ReadLedger(t.Context(), "7", sender, "x")
	if err != nil {
		t.Fatal(err)
	}
	var e struct{ Hash string }
	if err := json.Unmarshal(entry, &e); err != nil || len(e.Hash) != 32 {
		t.Errorf("the entry is %s, %v", entry, err)
	}
	if got := r.contents(conversation); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("messages: %q", got)
	}
}

func TestAnActionThatCameInABatchCanBeADeadLetter(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	r.open()
	const count = 40
	var acting sync.WaitGroup
	for n := range count {
		acting.Go(func() { r.act(send("not-a-number", fmt.Sprint(n), "hello")) })
	}
	acting.Wait()
	results := r.watch()
	r.run()
	for range count {
		if res := results.end(); res.kind != event.ActionFailed {
			t.Errorf("%+v", res)
		}
	}
	if n := len(r.dead("not-a-number")); n != count {
		t.Errorf("%d dead letters", n)
	}
}
