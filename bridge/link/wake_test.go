package link_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/link/wake"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

var reasons = []wake.Reason{wake.Network, wake.Slept}

func TestALinkThatWaitsDialsWhenItWakes(t *testing.T) {
	for _, why := range reasons {
		t.Run(string(why), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.down()
				r.run()
				r.until("waiting long", func() bool { return r.Status().Attempt == 8 })
				r.up()
				woke := time.Now()
				r.Wake(why)
				r.wants(link.Connected, "")
				if s := r.Status(); s.Since != woke {
					t.Errorf("connected after %s", s.Since.Sub(woke))
				}
				all := r.changes()
				if c := all[len(all)-2]; c.State != link.Connecting || c.Reason != string(why) || c.Attempt != 0 {
					t.Errorf("before it: %+v", c)
				}
			})
		})
	}
}

// A dial that was under way may have been made for what is gone.
func TestALinkThatWakesInAVainDialDialsAgainAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.hang = true
		r.run()
		r.Wake(wake.Network)
		r.until("dialed", r.dialed(2))
		if took := r.dialTimes()[1].Sub(r.dialTimes()[0]); took != 10*time.Second { // what a handshake may take
			t.Errorf("dialed again after %s", took)
		}
	}, func(o *link.Options) { o.Initial, o.Max = time.Hour, time.Hour })
}

func TestARefusedTokenIsTriedAgainAfterASleepAndNotForANetwork(t *testing.T) {
	for _, why := range reasons {
		t.Run(string(why), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.token = wrong
				r.run()
				r.wants(link.Error, "refused")
				r.Wake(why)
				synctest.Wait()
				want := map[wake.Reason]int{wake.Network: 1, wake.Slept: 2}[why]
				if n := len(r.dialTimes()); n != want {
					t.Errorf("%d dials, want %d", n, want)
				}
				r.wants(link.Error, "refused")
			})
		})
	}
}

func TestALinkThatIsAwaySleepsOn(t *testing.T) {
	for name, bring := range map[string]func(*rig){
		"asked to": func(r *rig) { r.run(); r.do(r.Disconnect) },
		"gave up": func(r *rig) {
			r.down()
			r.run()
			r.until("given up", r.is(link.Error))
			r.up()
		},
	} {
		for _, why := range reasons {
			t.Run(name+", "+string(why), func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					bring(r)
					was := r.Status()
					r.Wake(why)
					r.stays(was.State)
					// It is no news later on.
					r.down()
					r.do(r.Connect)
					r.until("given up", r.is(link.Error))
					for _, c := range r.changes() {
						if c.Reason == string(why) {
							t.Errorf("change %+v", c)
						}
					}
					r.up()
					r.do(r.Connect)
					time.Sleep(time.Minute)
					r.wants(link.Connected, "accepted")
					if n := r.Status().Connections; n != was.Connections+1 {
						t.Errorf("%d connections", n)
					}
				}, func(o *link.Options) { o.Attempts = 3 })
			})
		}
	}
}

func TestAfterASleepTheConnectionIsMadeAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		time.Sleep(time.Minute + time.Second)
		woke := time.Now()
		r.Wake(wake.Slept)
		r.Wake(wake.Network) // which is told, too, and weaker
		synctest.Wait()
		if s := r.Status(); s.State != link.Connected || s.Connections != 2 || s.Since != woke {
			t.Errorf("status = %+v", s)
		}
		all := r.changes()
		if c := all[len(all)-2]; c.State != link.Connecting || c.Reason != string(wake.Slept) {
			t.Errorf("before it: %+v", c)
		}
	})
}

func TestWhenTheNetworkCameBackTheConnectionIsAskedAtOnce(t *testing.T) {
	const timeout = 4 * time.Second
	for name, broken := range map[string]bool{"healthy": false, "broken": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.run()
				time.Sleep(time.Minute + time.Second) // in between two pings
				if broken {
					r.fault(simulator.Fault{Name: simulator.HalfOpen})
				}
				before := r.line(0).written.Load()
				woke := time.Now()
				r.Wake(wake.Network)
				synctest.Wait()
				if r.line(0).written.Load() == before {
					t.Error("nothing was asked")
				}
				if !broken {
					time.Sleep(time.Hour)
					r.undisturbed(0)
					return
				}
				r.until("noticed", r.is(link.Disconnected))
				if took := time.Since(woke); took > timeout+time.Second {
					t.Errorf("it took %s", took)
				}
			}, func(o *link.Options) { o.HeartbeatTimeout = timeout })
		})
	}
}

func TestWakeDoesNotBlock(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for range 10 {
			r.Wake(wake.Network)
			r.Wake(wake.Slept)
		}
		r.run() // it was before anything: there is nothing to make anew
		r.undisturbed(0)
		_ = r.end(errors.New("enough"))
		r.Wake(wake.Slept)
	})
}
