package bridge_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// A bridge that is killed between sending and the echo finds the echo by REST
// when it starts again, and must say whose it is: its sender would answer
// itself.
func TestAnEchoThatIsFoundAfterAKillSaysWhoseItIs(t *testing.T) {
	for _, echo := range []bool{true, false} {
		t.Run(strconv.FormatBool(echo), func(t *testing.T) {
			r := start(t, simulator.Options{EchoRef: echo})
			id := r.conversation()
			conversation := strconv.FormatInt(id, 10)
			r.writes(id, "hello")
			r.until("what was before is in the stream", func() bool { return r.count(event.MessageNew) == 1 })
			r.down()

			body := event.Action{ID: "reply/1", Type: event.SendMessage, Account: "7", Conversation: conversation, Body: []byte(`{"content":"how can we help?"}`)}
			r.killedWhileSending(body, "responder")
			r.up()
			r.has(event.MessageNew, 2)
			r.has(event.ActionConfirmed, 1)
			for _, e := range r.events() {
				if e.Type == event.MessageNew && e.Replayed && (e.By != "responder" || e.Action != "reply/1") {
					t.Errorf("the echo %s is by %q, action %q", e.Data, e.By, e.Action)
				}
			}
		})
	}
}

// killedWhileSending leaves what a bridge leaves that was killed after it had
// sent the action and before its echo came.
func (r *rig) killedWhileSending(a event.Action, sender string) {
	t := r.t
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Options{DataDir: r.dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Log: r.quiet()})
	if err != nil {
		t.Fatal(err)
	}
	queued := make(chan error, 1)
	b.Enqueue(sender, a, "", func(_ uint64, _ bool, err error) { queued <- err })
	if err := <-queued; err != nil {
		t.Fatal(err)
	}
	entry := `{"state":"sending","attempts":1,"type":"send_message","conversation":"` + a.Conversation + `","baseline":{"since":"` +
		time.Now().UTC().Format(time.RFC3339Nano) + `"}}`
	if err := b.WriteLedger(t.Context(), a.Account, sender, a.ID, []byte(entry)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Fatal(err)
	}
	c := account.New(account.Options{
		Account: a.Account, WSURL: "ws://" + r.host, APIURL: r.web.URL, MessageType: event.MessageOutgoing,
		Token: func() (secret.Text, error) { return token, nil }, HTTPClient: r.web.Client(),
	})
	session, err := c.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stats := func() simulator.Stats {
		s, err := r.sim.Stats(a.Account)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := stats().Messages
	if err := session.Send(ctx, a, sender+"/"+a.ID); err != nil {
		t.Fatal(err)
	}
	r.await(a.Account, "the backend has it", func(s simulator.Stats) bool { return s.Messages == before+1 })
	_ = session.Close()
}
