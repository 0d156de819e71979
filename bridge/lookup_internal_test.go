package bridge

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
)

// slow is a backend that takes a second for each answer.
type slow struct {
	connectors.Reader
	mu        sync.Mutex
	now, most int
	asked     int
	err       error
}

func (s *slow) Conversation(context.Context, string) (connectors.Detail, error) {
	s.mu.Lock()
	s.now++
	s.asked++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	return connectors.Detail{}, s.err
}

// However many look a conversation up, the backend is asked politely.
func TestABackendIsAskedPolitely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		l := newLookUp(s, 2)
		began := time.Now()
		var asking sync.WaitGroup
		for range 22 {
			asking.Go(func() {
				if _, err := l.read(t.Context(), "1"); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
		if s.most > lookUps || s.asked != 22 {
			t.Errorf("%d at once, %d in all", s.most, s.asked)
		}
		if took := time.Since(began); took != 11*time.Second { // two at first, then two a second, and one for the answer
			t.Errorf("it took %s", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		l := newLookUp(s, 100)
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() { _, _ = l.read(t.Context(), "1") })
		}
		asking.Wait()
		if s.most != lookUps {
			t.Errorf("%d at once, want %d", s.most, lookUps)
		}
	})
}

func TestABackendThatWantsItIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{err: &connectors.Busy{After: time.Minute, Err: errors.New("429")}}
		l := newLookUp(s, 0)
		if _, err := l.read(t.Context(), "1"); err == nil {
			t.Error("no error")
		}
		time.Sleep(20 * time.Second)
		if _, err := l.read(t.Context(), "1"); err == nil || !strings.Contains(err.Error(), "left alone for another 40s") || s.asked != 1 {
			t.Errorf("asked %d times: %v", s.asked, err)
		}
		time.Sleep(41 * time.Second)
		s.err = nil
		if _, err := l.read(t.Context(), "1"); err != nil {
			t.Error(err)
		}
	})
}

func TestALookUpWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLookUp(&slow{}, 0.001)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, first := l.read(ctx, "1")
		if _, err := l.read(ctx, "1"); first != nil || err == nil {
			t.Errorf("%v, %v", first, err)
		}
	})
}
