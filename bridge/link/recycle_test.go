package link_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestAConnectionIsReplacedAboutEveryTwelveHours(t *testing.T) {
	var lasted []time.Duration
	for range samples {
		inBubble(t, func(t *testing.T, r *rig) {
			r.run()
			r.until("dialed", r.dialed(2))
			lasted = append(lasted, time.Since(r.Status().Since))
			r.recycled(1)
			if took := time.Since(r.dialTimes()[1]); took != 5*time.Second {
				t.Errorf("the overlap was %s", took)
			}
			r.undisturbed(1)
			if stats, err := r.sim.Stats("7"); err != nil || stats.Sockets.Open != 1 {
				t.Errorf("%d sockets are open, %v", stats.Sockets.Open, err)
			}
		}, func(o *link.Options) { o.Heartbeat = 3 * time.Hour })
	}
	inRange(t, "lasted", lasted, 12*time.Hour*9/10, 12*time.Hour*11/10)
}

func TestRecyclingCanBeTurnedOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		time.Sleep(100 * time.Hour)
		r.undisturbed(0)
		if n := len(r.dialTimes()); n != 1 {
			t.Errorf("%d dials", n)
		}
	}, func(o *link.Options) { o.Recycle, o.Heartbeat = -1, 3*time.Hour })
}

// Equal frames are among them: what is told twice happened twice.
func TestNoFrameIsLostOrDoubledWhileConnectionsAreReplaced(t *testing.T) {
	const rounds = 20
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		var said []string
		for n := 0; r.Status().Recycled < rounds; n++ {
			next := []string{message(n)}
			if n%3 == 0 {
				next = append(next, update(0), update(0), update(1), update(0))
			}
			r.say(next...)
			said = append(said, next...)
			time.Sleep(70 * time.Millisecond)
		}
		r.got(said...)
		r.undisturbed(rounds)
	}, func(o *link.Options) { o.Recycle = 10 * time.Second })
}

func TestTheOldConnectionIsReadUntilTheSwitch(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.overlapping()
		r.say(message(1), update(0), update(0))
		r.got(message(1), update(0), update(0)) // at once, and not when it is over
		r.recycled(1)
		r.say(message(2), update(0))
		r.got(message(1), update(0), update(0), message(2), update(0))
		r.undisturbed(1)
	}, often)
}

func TestWhatTheOldConnectionWasDeafToComesAtTheSwitch(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.fault(simulator.Fault{Name: simulator.Deaf})
		r.say(message(1))
		r.until("dialed", r.dialed(2))
		synctest.Wait()
		r.say(message(2), update(0), update(0))
		r.got()
		r.recycled(1)
		if took := time.Since(r.dialTimes()[1]); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		r.say(message(3))
		r.got(message(2), update(0), update(0), message(3))
		r.undisturbed(1)
	}, often)
}

func TestAfterAReplacementThatFailedTheConnectionGoesOnAndItIsTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(*rig){
		"refused": func(r *rig) {
			r.fault(simulator.Fault{Name: simulator.Refuse})
			r.until("dialed", r.dialed(2))
		},
		"refused after the handshake": func(r *rig) {
			r.fault(simulator.Fault{Name: simulator.Refuse, Code: 4401})
			r.until("dialed", r.dialed(2))
		},
		"broken in the overlap": func(r *rig) {
			r.until("dialed", r.dialed(2))
			synctest.Wait()
			r.say(message(0))
			r.line(1).Close()
		},
		"broken when actions go over it": func(r *rig) {
			r.until("dialed", r.dialed(2))
			time.Sleep(4 * time.Second)
			r.say(message(0))
			r.line(1).Close()
		},
		"never answered": func(r *rig) {
			r.until("dialed", r.dialed(2))
			synctest.Wait()
			r.line(1).stalled.Store(true)
			time.Sleep(13 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var waits []time.Duration
			for range 10 {
				inBubble(t, func(t *testing.T, r *rig) {
					r.run()
					fail(r)
					failed := time.Now()
					synctest.Wait()
					if err := r.Send(t.Context(), event.Action{Type: event.MarkAsRead, Conversation: "1"}, "r"); err != nil {
						t.Error(err)
					}
					r.say(message(1))
					r.undisturbed(0)
					r.up()
					r.until("dialed", r.dialed(3))
					waits = append(waits, time.Since(failed))
					r.recycled(1)
					r.say(message(2))
					r.undisturbed(1)
					r.mu.Lock()
					defer r.mu.Unlock()
					var numbers []string
					for _, f := range r.frames {
						if f.Type == event.MessageNew && f.Object != "0" {
							numbers = append(numbers, f.Object)
						}
					}
					if !slices.Equal(numbers, []string{"1", "2"}) {
						t.Errorf("messages %v", numbers)
					}
				}, often)
			}
			if least, most := slices.Min(waits), slices.Max(waits); least < 4*time.Minute || most > 6*time.Minute || least == most {
				t.Errorf("it waited %s to %s", least, most)
			}
		})
	}
}

func TestWhenTheOldConnectionBreaksTheNewOneTakesItsPlaceAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.overlapping()
		r.say(message(1))
		r.got(message(1))
		broke := time.Now()
		r.line(0).Close()
		r.recycled(1)
		if took := time.Since(broke); took > time.Second {
			t.Errorf("it took %s", took)
		}
		r.say(message(2))
		r.got(message(1), message(2))
		if err := r.Send(t.Context(), event.Action{Type: event.MarkAsRead, Conversation: "1"}, "r"); err != nil {
			t.Error(err)
		}
		r.undisturbed(1)
	}, often)
}

func TestAConnectionThatDiedUnnoticedIsReplacedWithoutBeingAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.overlapping()
		r.say(message(1))
		synctest.Wait()
		r.line(0).stalled.Store(true)
		r.recycled(1)
		if took := time.Since(r.dialTimes()[1]); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		r.say(message(2))
		r.got(message(1), message(2))
		r.undisturbed(1)
	}, often)
}

func TestActionsGoOverTheOldConnectionFirstAndThenOverTheNew(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conversation, err := r.sim.OpenConversation("7", "Ada")
		if err != nil {
			t.Fatal(err)
		}
		r.overlapping()
		over := func() (old, fresh bool) {
			a, b := r.line(0).written.Load(), r.line(1).written.Load()
			if err := r.Send(t.Context(), event.Action{Type: event.MarkAsRead, Conversation: fmt.Sprint(conversation)}, "r"); err != nil {
				t.Fatal(err)
			}
			return r.line(0).written.Load() > a, r.line(1).written.Load() > b
		}
		if old, fresh := over(); !old || fresh {
			t.Errorf("at the beginning: old %v, new %v", old, fresh)
		}
		time.Sleep(2600 * time.Millisecond)
		if old, fresh := over(); old || !fresh {
			t.Errorf("in the second half: old %v, new %v", old, fresh)
		}
		r.recycled(1)
		if old, fresh := over(); old || !fresh {
			t.Errorf("after it: old %v, new %v", old, fresh)
		}
		synctest.Wait()
		if s, err := r.sim.Stats("7"); err != nil || s.Refs["r"] != 3 || s.Actions["mark_as_read"] != 3 {
			t.Errorf("%d actions were done, %v", s.Refs["r"], err)
		}
		r.undisturbed(1)
	}, often)
}

func TestWhenNoMoreCanBeKeptItSwitchesEarly(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.overlapping()
		const more = 10_500
		r.say(messages(0, more)...)
		r.recycled(1)
		if took := time.Since(r.dialTimes()[1]); took >= 5*time.Second {
			t.Errorf("it took %s", took)
		}
		r.say(message(more))
		r.got(messages(0, more+1)...)
		r.undisturbed(1)
	}, often)
}

// A frame function that is slow leaves much unread on the old connection when
// the new one opens.
func TestWhatTheOldConnectionHasNotBroughtYetIsNotLost(t *testing.T) {
	for name, takes := range map[string]time.Duration{"a little": 100 * time.Millisecond, "more than a heartbeat": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			var r *rig
			inBubble(t, func(t *testing.T, made *rig) {
				r = made
				r.run()
				time.Sleep(3*time.Hour*9/10 - time.Second)
				const before, after = 150, 50
				r.say(messages(0, before)...)
				r.until("dialed", r.dialed(2))
				synctest.Wait()
				r.say(messages(before, before+after)...)
				r.recycled(1)
				time.Sleep((before + after) * takes)
				r.got(messages(0, before+after)...)
				r.undisturbed(1)
			}, func(o *link.Options) {
				o.Recycle = 3 * time.Hour
				frame := o.Frame
				o.Frame = func(ctx context.Context, f connectors.Frame) error {
					if f.Kind == connectors.Event {
						time.Sleep(takes)
					}
					return frame(ctx, f)
				}
			})
		})
	}
}

func TestWhatWasKeptIsGivenAlsoWhenTheNewConnectionBreaksMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.fault(simulator.Fault{Name: simulator.Deaf})
		r.until("dialed", r.dialed(2))
		synctest.Wait()
		r.say(messages(0, 20)...)
		r.recycled(1)
		r.say(messages(20, 25)...)
		synctest.Wait()
		r.line(1).Close()
		r.until("connected anew", func() bool { return r.Status().Connections == 2 })
		r.got(messages(0, 25)...)
	}, often, func(o *link.Options) {
		frame := o.Frame
		o.Frame = func(ctx context.Context, f connectors.Frame) error {
			if f.Kind == connectors.Event {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return frame(ctx, f)
		}
	})
}

// A backend answers pings past what waits in its own queue.
func TestWhatTheBackendHasNotSentYetOverTheOldConnectionIsNotLost(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.fault(simulator.Fault{Name: simulator.Slow, Delay: 100 * time.Millisecond})
		said := 0
		for len(r.dialTimes()) < 2 {
			// As much as it sends meanwhile: with the answers to our pings, of
			// which nobody made room for, six or seven seconds are waiting then.
			more := 10
			if said == 0 {
				more = 30
			}
			r.say(messages(said, said+more)...)
			said += more
			time.Sleep(time.Second)
		}
		r.say(messages(said, said+1)...)
		r.recycled(1)
		time.Sleep(time.Minute)
		r.got(messages(0, said+1)...)
		r.undisturbed(1)
	}, often)
}

func TestAFailureOfTheFrameFunctionIsNotForgottenAtTheSwitch(t *testing.T) {
	broken := errors.New("a bug")
	for name, deaf := range map[string]bool{"on the old connection": false, "with what was kept": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.run()
				if deaf {
					r.fault(simulator.Fault{Name: simulator.Deaf})
				}
				r.until("dialed", r.dialed(2))
				synctest.Wait()
				r.say(message(1))
				<-r.over
				if !errors.Is(r.err, broken) {
					t.Errorf("err = %v", r.err)
				}
			}, often, func(o *link.Options) {
				o.Frame = func(_ context.Context, f connectors.Frame) error {
					if f.Kind != connectors.Event {
						return nil
					}
					return broken
				}
			})
		})
	}
}
