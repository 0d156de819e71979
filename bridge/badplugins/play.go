package badplugins

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// The names of the plugins, as the bridge has them and as they are played. The
// bad one is played by the name of its row.
const (
	recorder = "recorder"
	replier  = "replier"
	bad      = "bad"
	child    = "child"
)

// PlayArgs are the arguments with which the program must call [Play]; the part
// and the directory follow them.
var PlayArgs = []string{"bench", "plugins", "play"}

// Play plays one of the plugins of the table, good or bad, and writes down in
// the directory what happens to it. It returns when the host has ended it, with
// an error where there is no such part.
func Play(part, dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("directory %q is not absolute", dir)
	}
	play := map[string]func(dir string){recorder: playRecorder, replier: playReplier, child: func(string) { forever() }}[part]
	for _, p := range table {
		if p.name == part {
			play = p.play
		}
	}
	if play == nil {
		return fmt.Errorf("there is no part %q", part)
	}
	play(dir)
	return nil
}

// forever is not select{}, which the runtime would call a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

type handler = func(context.Context, *sdk.Delivery) error

// serve serves a plugin with one feed and one handler for all.
func serve(name string, handle handler, retries ...time.Duration) {
	sdk.Serve(sdk.Plugin[struct{}]{
		Name: name, Version: "1.0.0", Summary: "A part in the table of bad plugins",
		Events: []string{"*"}, Actions: []event.ActionType{event.SendMessage},
		Configure: func(context.Context, *sdk.Host, struct{}) ([]sdk.Feed, error) {
			return []sdk.Feed{{Retries: retries, Handlers: sdk.Handlers{OnEvent: handle}}}, nil
		},
	})
}

func ofEvent(kind string, e event.Event) record {
	return record{Kind: kind, ID: e.ID, Type: string(e.Type), Conversation: e.Conversation}
}

// got writes down that a handler was called.
func (n *notebook) got(d *sdk.Delivery) {
	r := ofEvent(gotEvent, d.Event)
	r.Attempt = d.Attempt
	n.write(r)
}

// recording writes each event down, and counts them, from 1.
func recording(n *notebook, then func(d *sdk.Delivery, count int64) error) handler {
	var count atomic.Int64
	return func(_ context.Context, d *sdk.Delivery) error {
		n.got(d)
		return then(d, count.Add(1))
	}
}

func done(*sdk.Delivery, int64) error { return nil }

// playRecorder is the first good plugin.
func playRecorder(dir string) { serve(recorder, recording(openNotebook(dir, recorder), done)) }

// answered is which of the customers' messages get an answer: one in so many.
const answered = 6

// playReplier is the second. An answer that is refused is tried again.
func playReplier(dir string) {
	n := openNotebook(dir, replier)
	serve(replier, func(ctx context.Context, d *sdk.Delivery) error {
		n.got(d)
		if d.Event.Type != event.MessageNew {
			return nil
		}
		v, err := d.Event.Decode()
		if err != nil {
			return err
		}
		m, ok := v.(event.Message)
		if !ok || !m.FromContact() || m.ID%answered != 0 {
			return nil
		}
		a := event.Action{ID: answerTo(m.ID), Type: event.SendMessage}
		if a.Body, err = json.Marshal(event.SendMessageBody{Content: a.ID}); err != nil {
			return err
		}
		r := record{Kind: accepted, ID: a.ID, Conversation: d.Event.Conversation}
		if _, err = d.Do(ctx, a); err != nil {
			r.Kind, r.Text = refused, err.Error()
		}
		n.write(r)
		return err
	})
}

// answerTo is the id of the answer to a message, and its text.
func answerTo(message int64) string { return fmt.Sprintf("answer-%d", message) }

// harm writes down that it is done now, at that event.
func harm(n *notebook, e event.Event) { n.write(ofEvent(struck, e)) }

// exitAt ends the process at that event.
func exitAt(name string, nth int64, status int) func(dir string) {
	return func(dir string) {
		n := openNotebook(dir, bad)
		serve(name, recording(n, func(d *sdk.Delivery, count int64) error {
			if count == nth {
				harm(n, d.Event)
				os.Exit(status)
			}
			return nil
		}))
	}
}
