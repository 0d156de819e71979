package link_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// situations are all that a link can be in.
var situations = []struct {
	name  string
	bring func(*rig)
}{
	{"connected", func(r *rig) { r.run(); r.wants(link.Connected, "") }},
	{"connected, with another to take its place", func(r *rig) { r.overlapping(); r.wants(link.Connected, "") }},
	{"connected, with actions over the other", func(r *rig) { r.overlapping(); time.Sleep(4 * time.Second) }},
	{"connected, with another dialed", func(r *rig) {
		r.run()
		r.hang = true
		r.until("dialed", r.dialed(2))
		r.wants(link.Connected, "")
	}},
	{"dialing", func(r *rig) { r.hang = true; r.run(); r.wants(link.Connecting, "") }},
	{"waiting for the next attempt", func(r *rig) {
		r.down()
		r.run()
		r.until("waiting long", func() bool { return r.Status().Attempt == 8 })
		r.wants(link.Disconnected, "HTTP 503")
		r.up()
	}},
	{"refused", func(r *rig) {
		r.token = wrong
		r.run()
		r.wants(link.Error, "refused")
		r.mu.Lock()
		r.token = good
		r.mu.Unlock()
	}},
	{"away", func(r *rig) { r.run(); r.do(r.Disconnect); r.wants(link.Disconnected, "") }},
}

func TestDisconnectStaysAway(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				s.bring(r)
				r.do(r.Disconnect)
				r.wants(link.Disconnected, "disconnect asked for")
				r.stays(link.Disconnected)
				r.wants(link.Disconnected, "disconnect asked for")
				if stats, err := r.sim.Stats("7"); err != nil || stats.Sockets.Open != 0 {
					t.Errorf("%d sockets are open, %v", stats.Sockets.Open, err)
				}
				r.mu.Lock()
				r.hang = false
				r.mu.Unlock()
				r.do(r.Connect)
				r.wants(link.Connected, "")
			})
		})
	}
}

func TestReconnectMakesANewConnectionAtOnce(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				s.bring(r)
				r.mu.Lock()
				r.hang = false
				r.mu.Unlock()
				before, asked := r.Status().Connections, time.Now()
				r.do(r.Reconnect)
				r.wants(link.Connected, "")
				if now := r.Status(); now.Connections != before+1 || now.Since != asked || now.Attempt != 0 {
					t.Errorf("status = %+v, want a new connection since %s", now, asked)
				}
				all := r.changes()
				if c := all[len(all)-2]; c.State != link.Connecting || c.Reason != "reconnect asked for" {
					t.Errorf("before it: %+v", c)
				}
			})
		})
	}
}

func TestConnectDoesNotDisturbWhatIsUnderWay(t *testing.T) {
	t.Run("a connection", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.run()
			for range 3 {
				r.do(r.Connect)
			}
			r.wants(link.Connected, "")
			if n := len(r.changes()); n != 2 {
				t.Errorf("changes: %+v", r.changes())
			}
		})
	})
	t.Run("a dial", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.hang = true
			r.run()
			for range 3 {
				r.do(r.Connect)
			}
			r.wants(link.Connecting, "starting")
			if s, n := r.Status(), len(r.dialTimes()); s.Attempt != 0 || n != 1 {
				t.Errorf("status = %+v, %d dials", s, n)
			}
		})
	})
}

func TestACommandEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) { // it does not run
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Reconnect(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "reconnect") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestChangedHasHeardOfAConnectionBeforeItsFirstFrame(t *testing.T) {
	var order []string // Changed and Frame are called one at a time
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		conversation, err := r.sim.OpenConversation("7", "Ada")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.fault(simulator.Fault{Name: simulator.Drop})
			for n := r.Status().Connections; r.Status().Connections == n; time.Sleep(10 * time.Millisecond) {
				if _, err := r.sim.CustomerWrites("7", conversation, "hello"); err != nil {
					t.Fatal(err)
				}
			}
			// It is hearing of it now.
			for range 3 {
				if _, err := r.sim.CustomerWrites("7", conversation, "hello"); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(5 * time.Second)
		}
		_ = r.end(errors.New("enough"))
		got := strings.Join(order, " ")
		if strings.Contains(got, "connected frame") || strings.Count(got, "connected heard frame frame frame") != 3 {
			t.Errorf("order: %s", got)
		}
	}, func(o *link.Options) {
		o.Frame = func(_ context.Context, f connectors.Frame) error {
			if f.Kind == connectors.Event {
				order = append(order, "frame")
			}
			return nil
		}
		o.Changed = func(s link.Status) {
			if s.State == link.Connected {
				order = append(order, "connected")
				time.Sleep(time.Second)
				order = append(order, "heard")
			}
		}
	})
}

func TestFramesComeInTheirOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		conversation, err := r.sim.OpenConversation("7", "Ada")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 50 {
			if _, err := r.sim.CustomerWrites("7", conversation, "hello"); err != nil {
				t.Fatal(err)
			}
			if n == 25 {
				r.fault(simulator.Fault{Name: simulator.Malformed})
			}
		}
		synctest.Wait()
		var kinds []connectors.Kind
		last := ""
		for _, f := range r.frames {
			kinds = append(kinds, f.Kind)
			if f.Type == event.MessageNew {
				if len(f.Object) < len(last) || len(f.Object) == len(last) && f.Object <= last {
					t.Errorf("message %s came after %s", f.Object, last)
				}
				last = f.Object
			}
		}
		if last != "50" || kinds[27] != connectors.Unreadable {
			t.Errorf("the last message is %s; kinds: %v", last, kinds)
		}
	})
}

func TestSendFailsWithErrNotConnectedWhileAway(t *testing.T) {
	action := event.Action{Type: event.MarkAsRead, Conversation: "1"}
	inBubble(t, func(t *testing.T, r *rig) {
		send := func() error { return r.Send(t.Context(), action, "r") }
		if err := send(); !errors.Is(err, link.ErrNotConnected) {
			t.Errorf("before Run: %v", err)
		}
		if _, err := r.sim.OpenConversation("7", "Ada"); err != nil {
			t.Fatal(err)
		}
		r.run()
		if err := send(); err != nil {
			t.Errorf("connected: %v", err)
		}
		synctest.Wait()
		r.down()
		synctest.Wait()
		if err := send(); !errors.Is(err, link.ErrNotConnected) {
			t.Errorf("disconnected: %v", err)
		}
		r.up()
		r.until("connected", r.is(link.Connected))
		if err := send(); err != nil {
			t.Errorf("connected again: %v", err)
		}
		synctest.Wait()
		_ = r.end(errors.New("enough"))
		if err := send(); !errors.Is(err, link.ErrNotConnected) {
			t.Errorf("after Run: %v", err)
		}
		if s, err := r.sim.Stats("7"); err != nil || s.Refs["r"] != 2 {
			t.Errorf("%d actions were done, %v", s.Refs["r"], err)
		}
	})
}

func TestAfterAWriteThatFailedNothingIsWrittenWhileTheRestIsRead(t *testing.T) {
	action := event.Action{Type: event.MarkAsRead, Conversation: "1"}
	release, count := make(chan struct{}), 0
	inBubble(t, func(t *testing.T, r *rig) {
		release = make(chan struct{}) // of this bubble
		r.run()
		conversation, err := r.sim.OpenConversation("7", "Ada")
		if err != nil {
			t.Fatal(err)
		}
		for range 9 {
			if _, err := r.sim.CustomerWrites("7", conversation, "hello"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		r.fault(simulator.Fault{Name: simulator.Drop})
		synctest.Wait()
		if err := r.Send(t.Context(), action, "r"); err == nil || errors.Is(err, link.ErrNotConnected) {
			t.Errorf("the first: %v, want what became of the write", err)
		}
		if err := r.Send(t.Context(), action, "r"); !errors.Is(err, link.ErrNotConnected) {
			t.Errorf("the second: %v", err)
		}
		close(release)
		if err := r.Ready(t.Context()); err != nil || r.Status().Connections != 2 {
			t.Errorf("err = %v, status = %+v", err, r.Status())
		}
		if count != 10 {
			t.Errorf("%d frames were read", count)
		}
		if err := r.Send(t.Context(), action, "r"); err != nil {
			t.Errorf("on the new connection: %v", err)
		}
	}, func(o *link.Options) {
		o.Frame = func(ctx context.Context, f connectors.Frame) error {
			if f.Type != event.ConversationUpdated {
				count++
				<-release
			}
			return nil
		}
	})
}

func TestAnImpossibleActionEndsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		if err := r.Send(t.Context(), event.Action{Type: event.MarkAsRead, Conversation: "x"}, "r"); !errors.Is(err, connectors.ErrPermanent) {
			t.Errorf("err = %v", err)
		}
		if err := r.Send(t.Context(), event.Action{Type: event.MarkAsRead, Conversation: "1"}, "r"); err != nil {
			t.Errorf("after it: %v", err)
		}
		if s := r.Status(); s.Connections != 1 || s.State != link.Connected {
			t.Errorf("status = %+v", s)
		}
	})
}

func TestReadyWakesWithTheConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.down()
		r.run()
		ready := make(chan error, 2)
		go func() { ready <- r.Ready(context.Background()) }()
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() { ready <- r.Ready(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(ready) != 0 {
			t.Fatal("ready while it was down")
		}
		cause := errors.New("enough")
		cancel(cause)
		if err := <-ready; !errors.Is(err, cause) {
			t.Errorf("err = %v", err)
		}
		r.up()
		if err := <-ready; err != nil || r.Status().State != link.Connected {
			t.Errorf("err = %v, status = %+v", err, r.Status())
		}
		if err := r.Ready(context.Background()); err != nil {
			t.Errorf("while it is connected: %v", err)
		}
	})
}

func TestEveryChangeHasItsReasonAndComesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		if s := r.Status(); s.State != link.Disconnected || s.Reason != "not started" {
			t.Errorf("before Run: %+v", s)
		}
		r.run()
		time.Sleep(time.Minute + time.Second) // in between two pings
		r.fault(simulator.Fault{Name: simulator.Drop})
		r.until("connected", func() bool { return r.Status().Connections == 2 && r.is(link.Connected)() })
		r.do(r.Disconnect)
		r.do(r.Connect)
		_ = r.end(errors.New("maintenance"))

		want := []struct {
			state  link.State
			reason string
		}{
			{link.Connecting, "starting"},
			{link.Connected, "the backend accepted the connection"},
			{link.Disconnected, "read: "},
			{link.Connecting, "trying again after: read: "},
			{link.Connected, "the backend accepted the connection"},
			{link.Disconnected, "disconnect asked for"},
			{link.Connecting, "connect asked for"},
			{link.Connected, "the backend accepted the connection"},
			{link.Disconnected, "maintenance"},
		}
		got := r.changes()
		for i := range max(len(want), len(got)) {
			if i >= len(got) || i >= len(want) || got[i].State != want[i].state || !strings.HasPrefix(got[i].Reason, want[i].reason) {
				t.Fatalf("change %d differs: %+v", i, got)
			}
			if i > 0 && got[i].Since.Before(got[i-1].Since) || got[i].Since.IsZero() {
				t.Errorf("change %d is of %s", i, got[i].Since)
			}
		}
		if last := got[len(got)-1]; last != r.Status() || last.Connections != 3 {
			t.Errorf("status = %+v, last change %+v", r.Status(), last)
		}
	})
}

func TestRunEndsWithTheCauseOfItsContext(t *testing.T) {
	cause := errors.New("maintenance")
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				s.bring(r)
				asked := time.Now()
				if err := r.end(cause); !errors.Is(err, cause) {
					t.Errorf("err = %v", err)
				}
				r.wants(link.Disconnected, cause.Error())
				if took := time.Since(asked); took > 2*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
	t.Run("in the middle of a frame", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.run()
			if _, err := r.sim.OpenConversation("7", "Ada"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := r.end(cause); !errors.Is(err, cause) {
				t.Errorf("err = %v", err)
			}
		}, func(o *link.Options) {
			o.Frame = func(ctx context.Context, _ connectors.Frame) error { <-ctx.Done(); return ctx.Err() }
		})
	})
}

func TestRunEndsWithTheErrorOfTheFrameFunction(t *testing.T) {
	broken := errors.New("a bug")
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		if _, err := r.sim.OpenConversation("7", "Ada"); err != nil {
			t.Fatal(err)
		}
		<-r.over
		if !errors.Is(r.err, broken) {
			t.Errorf("err = %v", r.err)
		}
		r.wants(link.Disconnected, "a bug")
	}, func(o *link.Options) {
		o.Frame = func(context.Context, connectors.Frame) error { return broken }
	})
}
