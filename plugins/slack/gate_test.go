package slack

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheGateLetsOneInAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, inside, most := newGate(), 0, 0
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				err := g.pass(t.Context(), func() error {
					inside++
					most = max(most, inside)
					time.Sleep(time.Second)
					inside--
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most != 1 {
			t.Errorf("%d were inside at once", most)
		}
	})
}

func TestTheGateStaysClosedForAsLongAsSlackSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, start := newGate(), time.Now()
		limited := &limitedError{30 * time.Second}
		if err := g.pass(t.Context(), func() error { return limited }); !errors.Is(err, limited) {
			t.Fatalf("error = %v", err)
		}
		for range 2 { // the second finds it open
			if err := g.pass(t.Context(), func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); waited != 30*time.Second {
				t.Errorf("it opened after %s", waited)
			}
		}
	})
}

func TestWaitingAtTheGateEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, over := newGate(), errors.New("the line is over")
		_ = g.pass(t.Context(), func() error { return &limitedError{time.Hour} })
		ctx, cancel := context.WithCancelCause(t.Context())
		results := make(chan error)
		for range 2 { // one waits for the gate, one for its turn
			go func() { results <- g.pass(ctx, func() error { return errors.New("it was let in") }) }()
		}
		synctest.Wait()
		cancel(over)
		for range 2 {
			if err := <-results; !errors.Is(err, over) {
				t.Errorf("error = %v", err)
			}
		}
	})
}
