// Command first-response is a plugin of Switchboard, in a module of its own as
// a third party has it: see README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func main() { sdk.Serve(manifest()) }

// promise keeps that nobody waits for a first answer without a word.
type promise struct {
	host  *sdk.Host
	after time.Duration
	say   string
}

// waiting is a conversation whose customer has had no answer: what its timer
// carries.
type waiting struct {
	Account      string    `json:"account"`
	Conversation string    `json:"conversation"`
	Since        time.Time `json:"since"`
}

func (w waiting) key() string { return w.Account + "/" + w.Conversation }

// answered is stored under the key of a conversation that needs no more timers.
var answered = []byte("answered")

// message sets a timer with a customer's first message, and removes it when
// somebody else has written. All of it may run twice, and comes to the same.
func (p *promise) message(ctx context.Context, d *sdk.Delivery, m event.Message) error {
	w := waiting{d.Event.Account, d.Event.Conversation, m.CreatedAt}
	state, err := p.host.Get(ctx, w.key())
	if err != nil && !errors.Is(err, sdk.ErrNotFound) {
		return err
	}
	switch {
	case string(state) == string(answered):
		return nil
	case !m.FromContact():
		if err := p.host.Put(ctx, w.key(), answered); err != nil {
			return err
		}
		return p.host.Unschedule(ctx, w.key())
	case state != nil:
		return nil // the timer runs
	}
	data, err := json.Marshal(w)
	if err != nil {
		return sdk.Reject(err)
	}
	if err := p.host.Schedule(ctx, w.key(), m.CreatedAt.Add(p.after), data); err != nil {
		return err
	}
	return p.host.Put(ctx, w.key(), data)
}

// due tells a customer who still waits. The id of the reply is made of the
// timer, so it goes out once, though this runs twice.
func (p *promise) due(ctx context.Context, d *sdk.Delivery, t sdk.Timer) error {
	var w waiting
	if err := json.Unmarshal(t.Data, &w); err != nil {
		return sdk.Reject(fmt.Errorf("read timer %s: %w", t.Key, err))
	}
	d.Log.Info("a customer waits", "conversation", w.Conversation, "since", w.Since)
	return d.For(w.Account, w.Conversation).Reply(ctx, p.say)
}
