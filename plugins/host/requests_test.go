package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	codeUnavailable = pluginv1.Error_CODE_UNAVAILABLE
	codeNotFound    = pluginv1.Error_CODE_NOT_FOUND
	codeNotGranted  = pluginv1.Error_CODE_NOT_GRANTED
	codeInvalid     = pluginv1.Error_CODE_INVALID
	codeLimit       = pluginv1.Error_CODE_LIMIT
)

func reply(id string) event.Action {
	return event.Action{ID: id, Type: event.SendMessage, Account: "7", Conversation: "1", Body: []byte(`{"content":"x"}`)}
}

func TestWaitTellsWhatBecameOfAnAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{})
		p.refused(waitFor("7", "1", 0), codeNotFound, "action \"1\"")
		p.refused(waitFor("8", "1", 0), codeNotGranted, "plugins.tester.accounts")
		p.refused(waitFor("7", "", 0), codeInvalid, "an id is needed")
		p.must(act(reply("1")))
		p.must(act(reply("2")))

		began := time.Now()
		p.refused(waitFor("7", "1", time.Minute), codeUnavailable, "within 1m0s")
		if time.Since(began) != time.Minute {
			t.Errorf("it took %s", time.Since(began))
		}
		p.refused(waitFor("7", "1", time.Hour), codeUnavailable, "within 5m0s")
		p.refused(waitFor("7", "1", 0), codeUnavailable, "within 5m0s")
		if time.Since(began) != 11*time.Minute {
			t.Errorf("it took %s", time.Since(began))
		}

		id := p.request(waitFor("7", "2", 0))
		synctest.Wait()
		w.finish("tester", "7", "2", result{event.ActionFailed, []byte(`{"reason":"no"}`)})
		if a := <-p.answers; a.GetRequest() != id || a.GetResult().GetType() != "action.failed" || string(a.GetResult().GetData()) != `{"reason":"no"}` {
			t.Errorf("answer %v", a)
		}
		if a := p.must(waitFor("7", "2", 0)); a.GetResult().GetType() != "action.failed" {
			t.Errorf("the second answer is %v", a)
		}
	})
}

// However many results a plugin waits for, it is served; and what it waits for
// is bounded.
func TestWaitsAreBoundedAndKeepNothingElseWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{Requests: 2})
		p.must(act(reply("1")))
		for range 1000 {
			p.request(waitFor("7", "1", 0))
		}
		synctest.Wait()
		p.refused(waitFor("7", "1", 0), codeLimit, "waits for 1000 actions already")
		p.must(act(reply("2")))
		w.finish("tester", "7", "1", result{event.ActionConfirmed, nil})
		for range 1000 {
			if a := <-p.answers; a.GetResult() == nil {
				t.Fatalf("answer %v", a)
			}
		}
		p.must(waitFor("7", "1", 0))
	})
}

func TestLookUpReadsAConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		w.conversations["7/1"] = host.Conversation{Data: []byte(`{"id":1}`), Messages: [][]byte{[]byte(`{"id":2}`), []byte(`{"id":3}`)}}
		w.conversations["8/1"] = host.Conversation{}
		w.conversations["7/large"] = host.Conversation{Messages: [][]byte{make([]byte, 8<<20), make([]byte, 8<<20)}}
		p := converse(t, w, granted(), host.Limits{})
		c := p.must(lookUp("7", "1")).GetConversation()
		if string(c.GetData()) != `{"id":1}` || len(c.GetMessages()) != 2 || string(c.GetMessages()[1]) != `{"id":3}` {
			t.Errorf("conversation %v", c)
		}
		p.refused(lookUp("7", "2"), codeNotFound, "conversation 2 of account 7")
		p.refused(lookUp("8", "1"), codeNotGranted, `may not look into account "8"`)
		p.refused(lookUp("7", ""), codeInvalid, "1 to 256 bytes")
		p.refused(lookUp("7", "large"), codeLimit, "bytes with its messages, and 16776192")
		p.must(lookUp("7", "1")) // the line goes on
	})
}

func TestKeysAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{})
		list := func(prefix, after string) *pluginv1.Keys {
			return p.must(&pluginv1.Request{Request: &pluginv1.Request_List{List: &pluginv1.List{Prefix: prefix, After: after}}}).GetKeys()
		}
		for n := range 1001 {
			w.store[fmt.Sprintf("tester/a%04d", n)] = ""
		}
		w.store["other/a"] = ""
		w.store["tester/b"] = ""
		if got := list("a", ""); len(got.GetKeys()) != 1000 || !got.GetMore() || got.GetKeys()[0] != "a0000" {
			t.Errorf("%d keys, more %t", len(got.GetKeys()), got.GetMore())
		}
		if got := list("a", "a0999"); len(got.GetKeys()) != 1 || got.GetMore() {
			t.Errorf("keys %v", got)
		}
	})
}

func TestAFullStoreIsALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		client, stop := dial(t, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
			for _, r := range []*pluginv1.Request{
				{Request: &pluginv1.Request_Put{Put: &pluginv1.Put{Key: "k"}}}, schedule("k", time.Now(), ""),
			} {
				if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: r}}); err != nil {
					return err
				}
				m, err := s.Recv()
				if err != nil {
					return err
				}
				if e := m.GetAnswer().GetError(); e.GetCode() != codeLimit || !strings.Contains(e.GetMessage(), "9 of 9 bytes") {
					t.Errorf("the answer to %v is %v", r, m)
				}
			}
			return nil
		}})
		defer stop()
		o := options(t, w, host.Limits{})
		o.Parts.Store, o.Parts.Timers = full{w}, full{w}
		_ = host.Run(t.Context(), client, granted(), o, &host.Stats{}) // the plugin ends it
	})
}

// full has no room.
type full struct{ *world }

func (full) Put(context.Context, string, string, []byte) error {
	return fmt.Errorf("%w: 9 of 9 bytes", host.ErrFull)
}

func (full) Set(context.Context, string, host.Timer) error {
	return fmt.Errorf("%w: 9 of 9 bytes", host.ErrFull)
}

func TestActionsHaveARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		spec := granted()
		spec.ActionRate = 10
		p := converse(t, w, spec, host.Limits{})
		n := 0
		accepted := func(kind event.ActionType) bool {
			n++
			a := reply(fmt.Sprint(n))
			if kind.Live() {
				a.ID, a.Body = "", nil
			}
			a.Type = kind
			return p.ask(act(a)).GetAccepted() != nil
		}
		for range 10 {
			if !accepted(event.SendMessage) || !accepted(event.StartTyping) {
				t.Fatalf("the %d. is refused", n)
			}
		}
		p.refused(act(reply("x")), codeLimit, "may take 10 actions a second, and 20 at once; try again in 100ms")
		if accepted(event.StopTyping) {
			t.Error("typing does not count")
		}
		time.Sleep(100 * time.Millisecond)
		if !accepted(event.SendMessage) || accepted(event.SendMessage) {
			t.Error("not one more after a tenth of a second")
		}
		if s := p.Snapshot("tester"); s.Accepted != 21 || s.Refused != 3 || !strings.Contains(s.LastRefusal, "may take 10 actions") {
			t.Errorf("status %+v", s)
		}
		// What was not granted takes nothing from it.
		time.Sleep(time.Minute)
		for range 30 {
			a := reply("x")
			a.Account = "8"
			p.refused(act(a), codeNotGranted, "account \"8\"")
		}
		if !accepted(event.SendMessage) {
			t.Error("refusals count")
		}
	})
}

func TestTheDefaultRateOfActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := converse(t, newWorld(aDay), granted(), host.Limits{})
		for n := range 200 {
			p.must(act(reply(fmt.Sprint(n))))
		}
		p.refused(act(reply("x")), codeLimit, "100 actions a second")
	})
}

// What the door refuses reaches the plugin, its operator's status and the log,
// however it is written.
func TestWhatTheDoorRefusesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{})
		w.accept = func(event.Action) error { return fmt.Errorf("%w: bots answer each other \xff", host.ErrLimit) }
		p.refused(act(reply("1")), codeLimit, "bots answer each other \uFFFD")
		w.accept = func(event.Action) error { return errors.New(strings.Repeat("x", 1<<20)) }
		p.refused(act(reply("1")), codeUnavailable, "xxx")
		if s := p.Snapshot("tester"); s.Refused != 2 || len(s.LastRefusal) > 1100 {
			t.Errorf("%d refused, the last with %d bytes", s.Refused, len(s.LastRefusal))
		}
	})
}
