package outbox

import (
	"errors"
	"sync"
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// underWay is an outbox with one job, at the head of its lane.
func underWay(t *testing.T) (*Outbox, *job) {
	o := New(Options{Account: "7"})
	o.running = &running{ctx: t.Context(), work: t.Context(), working: new(sync.WaitGroup)}
	q := &bus.Queued{Sequence: 5, Action: event.Action{ID: "x", Conversation: "1", Account: "7"}}
	j := &job{Queued: q}
	o.lanes["1"], o.out[5] = []*job{j}, q
	return o, j
}

func TestWhatBeginsFirstKeepsOutTheOther(t *testing.T) {
	o, j := underWay(t)
	if !o.begin(j) {
		t.Fatal("nobody wanted it cancelled")
	}
	if _, err := o.want(j.Queued); !errors.Is(err, ErrSending) {
		t.Errorf("cancelled while it was being sent: %v", err)
	}
	o.unbegin(j) // nothing was written
	interrupted := false
	o.interruptible(j, func() { interrupted = true })
	if wanted, err := o.want(j.Queued); err != nil || wanted != j || !interrupted {
		t.Errorf("not cancelled when it waited again: %v, interrupted %t", err, interrupted)
	}
	if again, err := o.want(j.Queued); err != nil || again != j {
		t.Errorf("asked for twice: %v", err)
	}
	if o.begin(j) || !o.cancelled(j) || j.end != event.ActionFailed || j.entry.Reason != cancelReason {
		t.Errorf("sent although it was cancelled: %+v", j)
	}
}

func TestWhatMayHaveBeenSentIsNotCancelled(t *testing.T) {
	o, j := underWay(t)
	o.begin(j)
	j.entry.Baseline = &baseline{}
	o.unbegin(j) // this time nothing was written; the time before, maybe
	if _, err := o.want(j.Queued); !errors.Is(err, ErrSending) {
		t.Errorf("err = %v", err)
	}
}

func TestSendingAndCancellingAtOnce(t *testing.T) {
	for range 1000 {
		o, j := underWay(t)
		var began bool
		var err error
		var both sync.WaitGroup
		both.Go(func() { began = o.begin(j) })
		both.Go(func() { _, err = o.want(j.Queued) })
		both.Wait()
		if began == (err == nil) {
			t.Fatalf("began %t, cancelling %v", began, err)
		}
	}
}
