package simulator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// maxLag is how far customers may fall behind their rate before the lost time
// is forgotten; less is caught up with.
const maxLag = time.Second

// drive lets the account's customers follow their script at the account's
// rate, the acts of a turn evenly spread over its time.
func (a *account) drive(ctx context.Context, v *valve) error {
	interval := time.Duration(float64(time.Second) / a.opts.Rate)
	due := time.Now()
	for {
		acts := a.script.next()
		for _, act := range acts {
			due = due.Add(interval / time.Duration(len(acts)))
			if now := time.Now(); now.Sub(due) > maxLag {
				due = now
			}
			if !sleepUntil(ctx, due) || !v.enter(ctx) {
				return nil
			}
			err := a.change(func(w *world) (notice, error) { return act.do(w, w.now()) })
			v.leave()
			switch {
			case errors.Is(err, ErrNotFound): // somebody deleted the conversation
				a.script.forget(act.chat)
			case err != nil:
				return fmt.Errorf("drive customers of account %q: %w", a.id, err)
			}
		}
	}
}

// remember makes the account's history: the beginning of its script until it
// has that many conversations, a minute between acts, the last one just now.
func (a *account) remember(conversations int) {
	var acts []act
	for opened := 0; opened < conversations; {
		for _, act := range a.script.next() {
			if act.kind == event.ConversationNew {
				opened++
			}
			acts = append(acts, act)
		}
	}
	now := a.world.now()
	for i, act := range acts {
		at := stamp{now.Add(-time.Duration(len(acts)-i) * time.Minute)}
		if _, err := act.do(&a.world, at); err != nil {
			panic(fmt.Sprintf("simulator: a script contradicts itself: %v", err))
		}
	}
	a.history = len(a.world.messages)
	a.world.edits = 0
}

func sleepUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// valve lets customers act, or not. The zero value is open.
type valve struct {
	acting sync.RWMutex  // read-locked during an act
	opened chan struct{} // nil while open; guarded by acting
}

// enter waits until the valve is open and keeps it from closing until leave.
// It reports false, and nothing is to be left, when ctx ends first.
func (v *valve) enter(ctx context.Context) bool {
	for {
		v.acting.RLock()
		opened := v.opened
		if opened == nil {
			return true
		}
		v.acting.RUnlock()
		select {
		case <-opened:
		case <-ctx.Done():
			return false
		}
	}
}

func (v *valve) leave() { v.acting.RUnlock() }

// close waits for the acts under way.
func (v *valve) close() {
	v.acting.Lock()
	defer v.acting.Unlock()
	if v.opened == nil {
		v.opened = make(chan struct{})
	}
}

func (v *valve) open() {
	v.acting.Lock()
	defer v.acting.Unlock()
	if v.opened != nil {
		close(v.opened)
		v.opened = nil
	}
}
