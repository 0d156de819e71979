package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// again is how long it is between two tries to reach a bridge that is being
// started.
const again = 50 * time.Millisecond

// demoFeed is what the bridge's API tells of the stream since the demo began. When
// the bridge is back after its end it is read anew from the beginning: what is
// counted is what is there.
type demoFeed struct {
	client *api.Client
	since  time.Time
	// show is called for each event once.
	show func(api.Event) error

	shown map[string]bool // by id; the goroutine of Run alone

	mu   sync.Mutex
	told *told
}

func newFeed(client *api.Client, since time.Time, show func(api.Event) error) *demoFeed {
	return &demoFeed{client: client, since: since, show: show, shown: map[string]bool{}, told: newTold()}
}

// Run reads until ctx ends. Where the bridge ends it waits for the next one.
func (f *demoFeed) Run(ctx context.Context) error {
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		t := newTold()
		first := true
		err := f.client.Watch(ctx, api.WatchSpec{Since: f.since}, func(e api.Event) error {
			f.mu.Lock()
			if first {
				f.told, first = t, false
			}
			t.add(e)
			f.mu.Unlock()
			if !e.Type.Live() {
				if f.shown[e.ID] {
					return nil
				}
				f.shown[e.ID] = true
			}
			if err := f.show(e); err != nil {
				return &showError{err}
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if failed, ok := errors.AsType[*showError](err); ok {
			return failed.err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// showError is not the bridge's.
type showError struct{ err error }

func (e *showError) Error() string { return e.err.Error() }

// look calls fn with what is told so far, which it must not keep.
func (f *demoFeed) look(fn func(*told)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f.told)
}

// told is what the stream tells.
type told struct {
	types map[event.Type]uint64 // different events
	ids   map[string]bool
	// twice counts events that the stream has more than once, replayed those
	// that were missed and fetched later.
	twice, replayed uint64
	// messages are in their latest version, and so are conversations.
	messages      map[int64]event.Message
	conversations map[int64]event.Conversation
	// noticed is how many events of each conversation the notifier has to post,
	// asked is where a customer wrote something, and answered where the
	// responder did.
	noticed         map[string]uint64
	asked, answered map[string]bool
	// fresh is how many messages are not the responder's own.
	fresh uint64
	// results are the ends of actions, by client_ref.
	results map[string]result
}

// result is the end of an action.
type result struct {
	end    event.Type
	action event.ActionType
}

func newTold() *told {
	return &told{
		types: map[event.Type]uint64{}, ids: map[string]bool{}, messages: map[int64]event.Message{},
		conversations: map[int64]event.Conversation{}, noticed: map[string]uint64{},
		asked: map[string]bool{}, answered: map[string]bool{}, results: map[string]result{},
	}
}

func (t *told) add(e api.Event) {
	if e.Type.Live() {
		return
	}
	if t.ids[e.ID] {
		t.twice++
		return
	}
	t.ids[e.ID] = true
	t.types[e.Type]++
	if e.Replayed {
		t.replayed++
	}
	v, err := event.Event{ID: e.ID, Type: e.Type, Data: json.RawMessage(e.Data)}.Decode()
	if err != nil {
		return // it is counted
	}
	switch v := v.(type) {
	case event.Conversation:
		t.conversations[v.ID] = v
		if e.Type == event.ConversationNew {
			t.noticed[e.Conversation]++
		}
	case event.Message:
		t.messages[v.ID] = v
		if e.Type == event.MessageNew {
			t.message(e, v)
		}
	case event.ActionResult:
		if e.Type == event.ActionSent {
			return
		}
		t.results[fmt.Sprintf("%s/%s", v.By, v.ID)] = result{e.Type, v.Type}
		if e.Type == event.ActionConfirmed && v.Type == event.SendMessage && v.By == responder {
			t.answered[e.Conversation] = true
		}
	}
}

func (t *told) message(e api.Event, m event.Message) {
	t.noticed[e.Conversation]++
	if e.By != responder {
		t.fresh++
	}
	if m.FromContact() {
		t.asked[e.Conversation] = true
	}
}
