package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// ended waits for what becomes of an action.
func (r *rig) ended(by, id string) (event.Type, event.ActionResult, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	kind, data, err := r.door.Wait(ctx, by, "7", id)
	var res event.ActionResult
	if err == nil {
		if err := json.Unmarshal(data, &res); err != nil {
			r.t.Error(err)
		}
	}
	return kind, res, err
}

func TestWaitTellsTheEndAlsoAfterARestart(t *testing.T) {
	r := prepare(t, simulator.Options{}, nil)
	conversation := r.conversation()
	r.open()
	results := r.watch()
	r.run()
	if _, _, err := r.ended(sender, "x"); !errors.Is(err, outbox.ErrUnknownAction) {
		t.Errorf("what never was: %v", err)
	}
	r.act(send(conversation, "x", "hello"))
	kind, res, err := r.ended(sender, "x")
	told := results.wants("x", event.ActionConfirmed, "")
	if err != nil || kind != event.ActionConfirmed || res != told.ActionResult {
		t.Errorf("%s %+v, %v; the event told %+v", kind, res, err, told.ActionResult)
	}
	if _, _, err := r.ended("another", "x"); !errors.Is(err, outbox.ErrUnknownAction) {
		t.Errorf("another's: %v", err)
	}
	if _, _, err := r.door.Wait(t.Context(), sender, "9", "x"); !errors.Is(err, outbox.ErrUnknownAccount) {
		t.Errorf("an unknown account: %v", err)
	}
	late := send(conversation, "late", "too late")
	late.At, late.Expires = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	r.act(late)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := r.door.Wait(ctx, sender, "7", "late"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before its end: %v", err)
	}
	r.stop()

	r.open()
	if _, res, err = r.ended(sender, "x"); err != nil || res != told.ActionResult { // before Run even
		t.Errorf("after a restart: %+v, %v; it was %+v", res, err, told.ActionResult)
	}
	r.run()
	waiting := make(chan event.Type, 1)
	go func() {
		kind, res, err := r.ended(sender, "late")
		if err != nil || !strings.Contains(res.Reason, "cancelled") {
			t.Errorf("%+v, %v", res, err)
		}
		waiting <- kind
	}()
	r.until("the queue has it", func() bool { return r.outbox.Status().Waiting == 1 })
	if err := r.cancel("late"); err != nil {
		t.Fatal(err)
	}
	if kind := <-waiting; kind != event.ActionFailed {
		t.Errorf("it ended as %s", kind)
	}
}

// Whoever asks when, none misses an end.
func TestWaitMissesNoEnd(t *testing.T) {
	r := start(t, simulator.Options{}, nil)
	var waiting sync.WaitGroup
	for n := range 20 {
		conversation := r.conversation()
		for m := range 10 {
			id := fmt.Sprintf("%d/%d", n, m)
			r.act(send(conversation, id, id))
			for range 3 {
				waiting.Go(func() {
					if kind, _, err := r.ended(sender, id); kind != event.ActionConfirmed {
						t.Errorf("%s: %s, %v", id, kind, err)
					}
				})
			}
		}
	}
	waiting.Wait()
}
