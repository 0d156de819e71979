package simulator_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestEverythingIsCounted(t *testing.T) {
	b := serve(t, simulator.Options{})
	id := b.open(t)
	message := b.write(t, id, "Before anyone listens")
	c := b.dial(t)
	b.write(t, id, "And after")
	for range 2 {
		if err := b.CustomerEdits("7", message, "Edited"); err != nil {
			t.Fatal(err)
		}
	}
	for _, action := range []string{
		`{"type":"send_message","data":{"conversation_id":1,"content":"Hi","client_ref":"once"}}`,
		`{"type":"send_message","data":{"conversation_id":1,"content":"Hi","client_ref":"twice"}}`,
		`{"type":"send_message","data":{"conversation_id":1,"content":"Hi","client_ref":"twice"}}`,
		`{"type":"update_status","data":{"conversation_id":1,"status":1}}`,
		`{"type":"send_message","data":{"conversation_id":9,"content":"Hi","client_ref":"failed"}}`,
		`{"type":"ping"}`,
	} {
		c.send(t, action)
	}
	for kindOf(t, c.raw(t)) != "pong" {
	}
	want := simulator.Stats{
		Account: "7",
		Events: map[string]simulator.EventCount{
			"conversation.new":     {Total: 1},
			"conversation.updated": {Total: 1, Heard: 1},
			"message.new":          {Total: 5, Heard: 4},
			"message.updated":      {Total: 2, Heard: 2},
		},
		Actions:  map[string]int{"send_message": 3, "update_status": 1, "ping": 1},
		Refs:     map[string]int{"once": 1, "twice": 2},
		Invalid:  1,
		Messages: 5, FirstMessage: 1, LastMessage: 5,
		Edits:   2,
		Sockets: simulator.SocketCount{Open: 1, Opened: 1},
	}
	got := b.stats(t)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if doubles := got.Doubles(); !reflect.DeepEqual(doubles, []string{"twice"}) {
		t.Errorf("doubles are %v", doubles)
	}
}

func TestWhatDoesNotExistIsAnError(t *testing.T) {
	b := serve(t, simulator.Options{})
	id := b.open(t)
	for name, do := range map[string]func() error{
		"open in no account":   func() error { _, err := b.OpenConversation("8", "Ada"); return err },
		"write in no account":  func() error { _, err := b.CustomerWrites("8", id, "Hi"); return err },
		"write nowhere":        func() error { _, err := b.CustomerWrites("7", 9, "Hi"); return err },
		"edit nothing":         func() error { return b.CustomerEdits("7", 9, "Hi") },
		"type nowhere":         func() error { return b.CustomerTypes("7", 9, true) },
		"set status nowhere":   func() error { return b.SetStatus("7", 9, event.StatusOpen) },
		"label nowhere":        func() error { return b.Label("7", 9, "vip") },
		"delete nothing":       func() error { return b.Delete("7", 9) },
		"snapshot of nothing":  func() error { _, err := b.Snapshot("8"); return err },
		"broadcast to nobody":  func() error { return b.Broadcast("8", []byte("{}")) },
		"counts of no account": func() error { _, err := b.Stats("8"); return err },
		"await no account":     func() error { return b.Await(t.Context(), "8", nil) },
		"fault on no account":  func() error { return b.SetFault(simulator.Fault{Account: "8", Name: simulator.Drop}) },
		"clear no account":     func() error { _, err := b.ClearFault("8", ""); return err },
	} {
		if err := do(); !errors.Is(err, simulator.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.SetStatus("7", id, 4); err == nil || errors.Is(err, simulator.ErrNotFound) {
		t.Errorf("a status that there is not: %v", err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	b := serve(t, simulator.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	checked := make(chan struct{}, 1)
	go func() {
		<-checked
		cancel(why)
	}()
	err := b.Await(ctx, "7", func(simulator.Stats) bool {
		checked <- struct{}{}
		return false
	})
	if !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
