package link_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAStaleConnectionIsNoticedAndReplaced(t *testing.T) {
	const interval, timeout = 20 * time.Second, 4 * time.Second
	// closing is what the connector gives a peer that may be there still.
	const closing = time.Second
	for _, name := range []simulator.FaultName{simulator.HalfOpen, simulator.NoPong} {
		t.Run(string(name), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.run()
				time.Sleep(7*interval + time.Second) // in between two pings
				if s := r.Status(); s.Connections != 1 {
					t.Fatalf("status = %+v before anything happened", s)
				}
				stale := time.Now()
				r.fault(simulator.Fault{Name: name})
				r.until("noticed", r.is(link.Disconnected))
				r.wants(link.Disconnected, "the connection is stale: no answer within 4s")
				if took := time.Since(stale); took > interval/2+timeout+closing {
					t.Errorf("it took %s", took)
				}
				if name == simulator.NoPong {
					r.up()
				}
				r.until("connected", r.is(link.Connected))
				if s := r.Status(); s.Connections != 2 || time.Since(stale) > interval/2+timeout+closing+time.Second {
					t.Errorf("status = %+v after %s", s, time.Since(stale))
				}
			}, func(o *link.Options) { o.Heartbeat, o.HeartbeatTimeout = interval, timeout })
		})
	}
}

// Some backends never answer the protocol's ping: that is no reason to think
// them dead, and no reason not to notice that they are.
func TestABackendThatIgnoresPingsIsToldFromADeadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, simulator.Options{IgnorePing: true})
		r.run()
		time.Sleep(time.Hour + time.Second)
		r.undisturbed(0)
		if s, err := r.sim.Stats("7"); err != nil || s.Actions["ping"] < 100 || len(r.frames) != 0 {
			t.Errorf("%d pings, %d answers, %v", s.Actions["ping"], len(r.frames), err)
		}
		dead := time.Now()
		r.fault(simulator.Fault{Name: simulator.HalfOpen})
		r.until("noticed", r.is(link.Disconnected))
		r.wants(link.Disconnected, "stale")
		if took := time.Since(dead); took > 26*time.Second {
			t.Errorf("it took %s", took)
		}
		r.until("connected", r.is(link.Connected))
	})
}

func TestASlowFrameFunctionIsBackPressureAndNoStaleConnection(t *testing.T) {
	for name, takes := range map[string]time.Duration{
		"less than a ping may take": 3 * time.Second,
		"more than a ping may take": 12 * time.Second,
		"more than a heartbeat":     17 * time.Second,
		"minutes":                   5 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			const count = 50
			var r *rig
			var contents []string
			inBubble(t, func(t *testing.T, made *rig) {
				r = made
				r.run()
				conversation, err := r.sim.OpenConversation("7", "Ada")
				if err != nil {
					t.Fatal(err)
				}
				for n := range count {
					if _, err := r.sim.CustomerWrites("7", conversation, strings.Repeat("x", n+1)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep((count + 3) * takes)
				synctest.Wait()
				if n := len(contents); n != count {
					t.Errorf("%d of %d frames were handled", n, count)
				}
				if s := r.Status(); s.State != link.Connected || s.Connections != 1 || len(r.changes()) != 2 {
					t.Errorf("status = %+v, changes: %+v", s, r.changes())
				}
				// And what is stale after it is noticed again.
				r.fault(simulator.Fault{Name: simulator.HalfOpen})
				r.until("noticed", r.is(link.Disconnected))
			}, func(o *link.Options) {
				o.Frame = func(ctx context.Context, f connectors.Frame) error {
					if f.Type != event.MessageNew {
						return nil
					}
					select {
					case <-time.After(takes):
					case <-ctx.Done():
						return ctx.Err()
					}
					contents = append(contents, string(f.Data))
					return nil
				}
			})
		})
	}
}
