package host_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/switchboard-dev/switchboard/plugins/host"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func TestATimerComesWhenItIsDueAndGoesWhenItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{})
		began := time.Now()
		p.must(schedule("later", began.Add(2*time.Hour), ""))
		p.must(schedule("soon", began.Add(time.Minute), "data"))
		p.must(schedule("late", began.Add(-time.Hour), ""))
		p.must(schedule("never", began.Add(time.Second), ""))
		p.must(unschedule("never"))
		p.must(unschedule("what never was"))

		late := p.next()
		if late.GetTimer().GetKey() != "late" || time.Since(began) != 0 || late.GetFeed() != "" || late.GetAttempt() != 1 {
			t.Errorf("after %s came %v", time.Since(began), late)
		}
		p.outcome(acked(late.GetId()))
		soon := p.next()
		if got := soon.GetTimer(); got.GetKey() != "soon" || string(got.GetData()) != "data" || !got.GetAt().AsTime().Equal(began.Add(time.Minute)) {
			t.Errorf("came %v", soon)
		}
		if time.Since(began) != time.Minute {
			t.Errorf("it came after %s", time.Since(began))
		}
		if soon.GetKey() == "" || soon.GetKey() == late.GetKey() || soon.GetId() == late.GetId() {
			t.Errorf("the deliveries are %v and %v", late, soon)
		}
		p.outcome(&pluginv1.Outcome{Delivery: soon.GetId(), Result: &pluginv1.Outcome_Reject{Reject: &pluginv1.Reject{Reason: "no"}}})
		synctest.Wait()
		if got := w.timersOf("tester"); got != "later" || p.Snapshot("tester").Timers != 1 {
			t.Errorf("kept are %q; status %+v", got, p.Snapshot("tester"))
		}
	})
}

func TestATimerComesAgainUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{Retries: []time.Duration{time.Second, time.Minute}})
		p.must(schedule("t", time.Now(), ""))
		steps := []struct {
			attempt uint32
			result  func(*pluginv1.Delivery) *pluginv1.Outcome
			wait    time.Duration
		}{
			{1, func(d *pluginv1.Delivery) *pluginv1.Outcome { return retried(d, time.Hour) }, time.Hour},
			{2, func(d *pluginv1.Delivery) *pluginv1.Outcome { return &pluginv1.Outcome{Delivery: d.GetId()} }, time.Minute},
			{3, func(d *pluginv1.Delivery) *pluginv1.Outcome {
				return &pluginv1.Outcome{Delivery: d.GetId(), Result: &pluginv1.Outcome_Pause{Pause: &pluginv1.Pause{Hold: durationpb.New(time.Hour)}}}
			}, time.Hour},
			{3, func(d *pluginv1.Delivery) *pluginv1.Outcome {
				return &pluginv1.Outcome{Delivery: d.GetId(), Result: &pluginv1.Outcome_Retry{Retry: &pluginv1.Retry{}}}
			}, time.Minute}, // the last of the schedule, however often
			{4, func(d *pluginv1.Delivery) *pluginv1.Outcome { return acked(d.GetId()) }, 0},
		}
		for i, step := range steps {
			d := p.next()
			if d.GetAttempt() != step.attempt {
				t.Errorf("step %d: attempt %d, want %d", i, d.GetAttempt(), step.attempt)
			}
			came := time.Now()
			p.outcome(step.result(d))
			synctest.Wait()
			if step.wait == 0 {
				break
			}
			p.silent(step.wait - 1)
			if time.Since(came) != step.wait-1 {
				t.Errorf("step %d: %s", i, time.Since(came))
			}
		}
		if got := w.timersOf("tester"); got != "" {
			t.Errorf("kept are %q", got)
		}
	})
}

// What the plugin changes while it has a timer in hand is not undone by the
// outcome of the one before.
func TestATimerThatIsSetAnewWhileItIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{})
		p.must(schedule("again", time.Now(), "old"))
		p.must(schedule("gone", time.Now(), ""))
		p.must(schedule("back", time.Now(), ""))
		again, gone, back := p.next(), p.next(), p.next()
		due := time.Now().Add(time.Hour)
		p.must(schedule("again", due, "new"))
		p.must(unschedule("gone"))
		p.must(unschedule("back"))
		p.must(schedule("back", time.Now().Add(2*time.Hour), ""))
		p.outcome(acked(again.GetId()))
		p.outcome(retried(gone, time.Second))
		p.outcome(acked(back.GetId()))
		d := p.next()
		if string(d.GetTimer().GetData()) != "new" || !time.Now().Equal(due) || d.GetAttempt() != 1 {
			t.Errorf("at %s came %v", time.Now(), d)
		}
		if d.GetKey() == again.GetKey() {
			t.Errorf("both have the key %q", d.GetKey())
		}
		p.outcome(acked(d.GetId()))
		if d := p.next(); d.GetTimer().GetKey() != "back" || time.Since(due) != time.Hour {
			t.Errorf("at %s came %v", time.Now(), d)
		}
		if got := w.timersOf("tester"); got != "back" {
			t.Errorf("kept are %q", got)
		}
	})
}

// A line that ends leaves what was not done to the next.
func TestTimersOutliveTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		first := converse(t, w, granted(), host.Limits{Drain: time.Second})
		first.must(schedule("in hand", time.Now(), ""))
		first.must(schedule("done", time.Now(), ""))
		first.must(schedule("due meanwhile", time.Now().Add(time.Minute), ""))
		first.next()
		first.outcome(acked(first.next().GetId()))
		synctest.Wait()
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		if got := w.timersOf("tester"); got != "due meanwhile in hand" {
			t.Errorf("kept are %q", got)
		}
		time.Sleep(time.Hour)
		second := converse(t, w, granted(), host.Limits{Drain: time.Second})
		for _, key := range []string{"in hand", "due meanwhile"} {
			if d := second.next(); d.GetTimer().GetKey() != key {
				t.Errorf("came %v, want %q", d, key)
			}
		}
	})
}

// A drained plugin gets no more timers, may set some, and what it says of those
// in hand counts.
func TestTimersOfADrainedPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{Drain: time.Minute})
		p.must(schedule("in hand", time.Now(), ""))
		d := p.next()
		go func() { _ = p.stop() }()
		synctest.Wait()
		p.must(schedule("new", time.Now(), ""))
		p.silent(20 * time.Second)
		p.outcome(acked(d.GetId()))
		<-p.ended
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		if got := w.timersOf("tester"); got != "new" {
			t.Errorf("kept are %q", got)
		}
	})
}

func TestTimersHaveAWindowOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{Window: 1})
		for n := range 100 {
			p.must(schedule(fmt.Sprint(n), time.Now(), ""))
		}
		w.publish(message("a", 1)) // timers do not keep it waiting
		synctest.Wait()
		timers := 0
		var last *pluginv1.Delivery
		for range len(p.heard) {
			if d := p.next(); d.GetTimer() != nil {
				timers, last = timers+1, d
			} else {
				p.outcome(acked(d.GetId()))
			}
		}
		if timers != 64 {
			t.Errorf("%d timers are inside, want 64", timers)
		}
		p.outcome(acked(last.GetId()))
		if d := p.next(); d.GetTimer() == nil {
			t.Errorf("came %v", d)
		}
		w.acked(t, defaultFeed, 1)
	})
}

func TestAPluginThatSaysNothingOfATimerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		began := time.Now()
		w.timers["tester/t"] = host.Timer{Key: "t", At: began}
		client, stop := dial(t, &raw{feeds: rawFeeds("default"), connect: answering(nil2)})
		defer stop()
		err := host.Run(t.Context(), client, granted(), options(t, w, host.Limits{}), &host.Stats{})
		if err == nil || !strings.Contains(err.Error(), `hangs: it has said nothing of timer "t"`) {
			t.Errorf("error %v", err)
		}
		if time.Since(began) != 30*time.Second {
			t.Errorf("it ended after %s", time.Since(began))
		}
	})
}

// nil2 settles nothing.
func nil2(*pluginv1.Delivery) []*pluginv1.Outcome { return nil }

func TestATimerThatCannotBeRemovedComesNotAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		broken := &brokenTimers{world: w, failures: 3}
		client, stop := dial(t, &raw{feeds: rawFeeds("default"), connect: answering(func(d *pluginv1.Delivery) []*pluginv1.Outcome {
			if d.GetAttempt() != 1 {
				t.Errorf("it came again: %v", d)
			}
			return []*pluginv1.Outcome{acked(d.GetId())}
		})})
		defer stop()
		w.timers["tester/t"] = host.Timer{Key: "t", At: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		o := options(t, w, host.Limits{})
		o.Parts.Timers = broken
		ended := make(chan error)
		go func() { ended <- host.Run(ctx, client, granted(), o, &host.Stats{}) }()
		time.Sleep(time.Hour)
		if got := w.timersOf("tester"); got != "" {
			t.Errorf("kept are %q", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// brokenTimers cannot remove for so many times.
type brokenTimers struct {
	*world
	failures int
}

func (b *brokenTimers) Remove(ctx context.Context, plugin, key string) error {
	if b.failures--; b.failures >= 0 {
		return errDown
	}
	return b.world.Remove(ctx, plugin, key)
}

func TestWhatIsNoTimerIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		p := converse(t, w, granted(), host.Limits{})
		const invalid, limit = pluginv1.Error_CODE_INVALID, pluginv1.Error_CODE_LIMIT
		p.refused(schedule("", time.Now(), ""), invalid, "1 to 256 bytes")
		p.refused(schedule("k", time.Now(), strings.Repeat("x", 64<<10+1)), invalid, "65536 are allowed")
		p.refused(unschedule(strings.Repeat("k", 257)), invalid, "1 to 256 bytes")
		p.refused(&pluginv1.Request{Request: &pluginv1.Request_Schedule{Schedule: &pluginv1.Schedule{Key: "k"}}}, invalid, "when a timer is due")
		p.refused(&pluginv1.Request{Request: &pluginv1.Request_Schedule{Schedule: &pluginv1.Schedule{
			Key: "k", At: &timestamppb.Timestamp{Nanos: -1},
		}}}, invalid, "when a timer is due")
		for n := range 10_000 {
			p.must(schedule(fmt.Sprint(n), time.Now().Add(time.Hour), ""))
		}
		p.refused(schedule("one more", time.Now(), ""), limit, "10000 timers")
		p.must(schedule("7", time.Now().Add(2*time.Hour), "")) // not one more
		p.must(unschedule("8"))
		p.must(schedule("one more", time.Now().Add(time.Hour), ""))
		if len(w.timers) != 10_000 {
			t.Errorf("%d are kept", len(w.timers))
		}
	})
}
