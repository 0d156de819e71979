package link_test

import (
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

func TestTheBackoffDoublesWithFullJitterUpToItsMaximum(t *testing.T) {
	bounds := []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}
	all := make([][]time.Duration, len(bounds))
	for range samples {
		inBubble(t, func(t *testing.T, r *rig) {
			r.down()
			r.run()
			r.until("dialed", r.dialed(len(bounds)+1))
			for i, wait := range waits(r.dialTimes())[:len(bounds)] {
				all[i] = append(all[i], wait)
			}
		})
	}
	for i, bound := range bounds {
		inRange(t, bound.String(), all[i], 0, bound*time.Second)
	}
}

func TestInitialAndMaxAreTheBoundsOfTheBackoff(t *testing.T) {
	var first, later []time.Duration
	for range samples {
		inBubble(t, func(t *testing.T, r *rig) {
			r.down()
			r.run()
			r.until("dialed", r.dialed(6))
			w := waits(r.dialTimes())
			first, later = append(first, w[0]), append(later, w[3])
		}, func(o *link.Options) { o.Initial, o.Max = 100*time.Millisecond, 300*time.Millisecond })
	}
	inRange(t, "first", first, 0, 100*time.Millisecond)
	inRange(t, "later", later, 0, 300*time.Millisecond)
}

func TestTheBackoffBeginsAnewAfterAStableConnectionOnly(t *testing.T) {
	for name, test := range map[string]struct{ lasts, bound time.Duration }{
		"a short one":  {29 * time.Second, 30 * time.Second},
		"a stable one": {31 * time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var after []time.Duration
			for range samples {
				inBubble(t, func(t *testing.T, r *rig) {
					r.down()
					r.run()
					r.until("dialed", r.dialed(6))
					r.up()
					r.until("connected", r.is(link.Connected))
					time.Sleep(test.lasts - time.Since(r.Status().Since))
					r.down()
					down, n := time.Now(), len(r.dialTimes())
					r.until("dialed", r.dialed(n+1))
					after = append(after, r.dialTimes()[n].Sub(down))
				})
			}
			inRange(t, "after it", after, 0, test.bound)
		})
	}
}

func TestItGivesUpAfterItsAttemptsUntilSomebodyAsks(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.down()
		r.run()
		r.until("given up", r.is(link.Error))
		r.wants(link.Error, "gave up after 3 attempts: dial ws://backend/ws/accounts/7/: the backend answered HTTP 503")
		if n := len(r.dialTimes()); n != 3 {
			t.Errorf("%d dials", n)
		}
		r.stays(link.Error)

		r.do(r.Connect) // it is down still: there are three attempts again
		r.until("given up again", r.is(link.Error))
		if n := len(r.dialTimes()); n != 6 {
			t.Errorf("%d dials", n)
		}
		r.up()
		r.do(r.Connect)
		r.wants(link.Connected, "accepted")
		if s := r.Status(); s.Attempt != 0 {
			t.Errorf("status = %+v", s)
		}

		r.down() // the loss of a connection is no attempt
		r.until("given up once more", r.is(link.Error))
		if n := len(r.dialTimes()); n != 10 {
			t.Errorf("%d dials", n)
		}
		r.do(r.Disconnect)
		r.wants(link.Disconnected, "disconnect asked for")
	}, func(o *link.Options) { o.Attempts = 3 })
}

func TestARefusedTokenIsTriedAgainSlowlyAndReadAnew(t *testing.T) {
	for name, refuse := range map[string]func(*rig){
		"at the handshake": func(r *rig) { r.token = wrong },
		"after it":         func(r *rig) { r.fault(simulator.Fault{Name: simulator.Refuse, Code: 4401}) },
	} {
		t.Run(name, func(t *testing.T) {
			bounds := []struct{ low, high time.Duration }{{30, 60}, {60, 120}, {120, 240}, {150, 300}, {150, 300}}
			all := make([][]time.Duration, len(bounds))
			for range samples {
				inBubble(t, func(t *testing.T, r *rig) {
					refuse(r)
					r.run()
					r.wants(link.Error, "the backend refused the token")
					r.until("dialed", r.dialed(len(bounds)+1))
					for i, wait := range waits(r.dialTimes())[:len(bounds)] {
						all[i] = append(all[i], wait)
					}
					r.wants(link.Error, "the backend refused the token")

					r.mu.Lock()
					r.token = good
					r.mu.Unlock()
					r.up()
					n := len(r.dialTimes())
					r.until("connected", r.is(link.Connected))
					if got := len(r.dialTimes()); got != n+1 {
						t.Errorf("the new token was found by the %dth dial", got-n)
					}
					for _, s := range r.changes() {
						if strings.Contains(s.Reason, wrong.Reveal()) || strings.Contains(s.Reason, good.Reveal()) {
							t.Errorf("%q shows a token", s.Reason)
						}
					}
				})
			}
			for i, b := range bounds {
				inRange(t, "refused", all[i], b.low*time.Second, b.high*time.Second)
			}
		})
	}
}
