package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// dying is a bus whose first replay takes the connection down with it, after
// a page.
type dying struct {
	*bus.Bus
	replays int
}

func (d *dying) Replay(ctx context.Context, spec bus.ReplaySpec, progress func([]bus.ReplayedFeed) error) ([]bus.ReplayedFeed, error) {
	d.replays++
	return d.Bus.Replay(ctx, spec, func(f []bus.ReplayedFeed) error {
		err := progress(f)
		if d.replays == 1 && f[0].Taken > 0 {
			panic(http.ErrAbortHandler)
		}
		return err
	})
}

// known are plugins of which the API asks for no more than whether they are
// there.
type known struct{ Plugins }

func (known) Show(plugin string) (any, error) {
	if plugin == "p" || plugin == "q" {
		return plugin, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoPlugin, plugin)
}

func TestAReplayIsAskedForAgainWhenTheBridgeWasLost(t *testing.T) {
	const events = 1100
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	b, err := bus.Open(t.Context(), bus.Options{DataDir: t.TempDir(), Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	feed, err := b.OpenFeed(t.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	stored := make(chan error, events)
	for n := range events {
		e := event.Event{ID: fmt.Sprint(n), Type: event.MessageNew, Account: "7", Conversation: fmt.Sprint(n % 10), Data: []byte("{}")}
		if err := b.Publish(t.Context(), e, func(p bus.Publication) { stored <- p.Err }); err != nil {
			t.Fatal(err)
		}
	}
	for range events {
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
	}

	path := filepath.Join(t.TempDir(), "api")
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, Handler(Options{
			Replays: &dying{Bus: b}, Plugins: known{}, Metrics: http.NotFoundHandler(), Log: log,
		}), log)
	}()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	client := Dial(path)
	defer client.http.CloseIdleConnections()
	ask := Replay{ID: "x", Plugin: "p", Since: time.Now().Add(-time.Hour)}
	var seen uint64
	watch := func(f []bus.ReplayedFeed) { seen = f[0].Taken }
	if got, err := client.Replay(t.Context(), ask, watch); !errors.Is(err, ErrCutOff) || seen != 500 || len(got) != 1 || got[0].Taken != 500 {
		t.Fatalf("%+v, %v; saw %d", got, err, seen)
	}
	got, err := client.Replay(t.Context(), ask, watch)
	if err != nil || len(got) != 1 || got[0] != (bus.ReplayedFeed{Feed: "f", Events: events, Taken: events}) {
		t.Fatalf("asked for again: %+v, %v", got, err)
	}
	if list, err := client.DropReplay(t.Context(), "p", "", "", "3"); err != nil || len(list) != 1 || list[0].Waiting != events/10 {
		t.Errorf("dropped %+v of a conversation, %v", list, err)
	}
	if list, err := client.WaitingReplays(t.Context(), "p", "f", "7", ""); err != nil || len(list) != 1 || list[0].Waiting != events-events/10 {
		t.Errorf("waiting %+v, %v", list, err)
	}

	for want, change := range map[string]func(*Replay){
		`no such plugin: r`:                      func(r *Replay) { r.Plugin = "r" },
		`no such feed: plugin "q" has had none`:  func(r *Replay) { r.Plugin = "q" },
		`no such feed: plugin p has no feed "g"`: func(r *Replay) { r.Feed = "g" },
		`id: "a b" is not`:                       func(r *Replay) { r.ID = "a b" },
		`the replay cannot be gone on with`:      func(r *Replay) { r.ID, r.Resume = "y", true },
	} {
		wrong := ask
		change(&wrong)
		if _, err := client.Replay(t.Context(), wrong, watch); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %s", err, want)
		}
	}
	if _, err := client.DropReplay(t.Context(), "r", "", "", ""); err == nil || !strings.Contains(err.Error(), "no such plugin") {
		t.Errorf("err = %v", err)
	}
}
