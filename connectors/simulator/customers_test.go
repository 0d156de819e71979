package simulator_test

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// chat runs customers until a socket has heard that many events, and returns
// those without their times.
func chat(t *testing.T, opts simulator.Options, events int) string {
	t.Helper()
	opts.Rate = 10_000
	b := serve(t, opts)
	c := b.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	var heard bytes.Buffer
	for range events {
		heard.Write(times.ReplaceAll(c.raw(t), []byte("T")))
		heard.WriteByte('\n')
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return heard.String()
}

func TestTheSeedDecidesWhatCustomersDo(t *testing.T) {
	const events = 600
	first := chat(t, simulator.Options{Seed: 1}, events)
	if again := chat(t, simulator.Options{Seed: 1}, events); again != first {
		t.Error("one seed gave two histories")
	}
	if other := chat(t, simulator.Options{Seed: 2}, events); other == first {
		t.Error("two seeds gave one history")
	}
	for _, want := range []string{
		`"conversation.new"`, `"conversation.updated"`, `"message.new"`, `"message.updated"`, `"typing.start"`, `"typing.stop"`,
		"price", "hours", "refund", "hanks", `"seen"`, `"status": 1`,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("%s does not occur in %d events", want, events)
		}
	}
}

func TestHistoryIsThereBeforeAnythingRuns(t *testing.T) {
	b := serve(t, simulator.Options{Seed: 1, History: 30, BareList: true})
	before := time.Now()
	var all []struct {
		LastActivityAt time.Time      `json:"last_activity_at"`
		LastMessage    map[string]any `json:"last_message"`
	}
	b.do(t, "GET", list, "", &all)
	if len(all) != 30 {
		t.Fatalf("%d conversations", len(all))
	}
	for _, c := range all {
		if c.LastMessage == nil || !c.LastActivityAt.Before(before.Add(-30*time.Second)) {
			t.Errorf("%+v is not a conversation of the past", c)
		}
	}
	if s := b.stats(t); s.Messages != 0 || s.Edits != 0 || len(s.Events) != 0 {
		t.Errorf("history is counted: %+v", s)
	}
	id := b.write(t, 1, "News")
	if s := b.stats(t); s.Messages != 1 || s.FirstMessage != id || s.LastMessage != id {
		t.Errorf("after message %d the counts are %+v", id, s)
	}
}

func TestCustomersKeepTheirRateAndPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{Rate: 5, Accounts: []simulator.Account{{ID: "7"}, {ID: "8"}}})
		messages := func() int {
			stats, err := s.Stats("7")
			if err != nil {
				t.Fatal(err)
			}
			return stats.Messages
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()

		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := messages(); got < 49 || got > 51 {
			t.Errorf("%d messages in 10 s at 5/s", got)
		}
		s.Pause()
		s.Pause() // a second call changes nothing
		paused := messages()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := messages(); got != paused {
			t.Errorf("%d messages while paused", got-paused)
		}
		s.Resume()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := messages() - paused; got < 49 || got > 56 {
			t.Errorf("%d messages in 10 s after the pause, at 5/s", got)
		}
		if err := s.Run(ctx); err == nil {
			t.Error("a second Run is not refused")
		}
		s.Pause()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAfterPauseEverythingWasHeard(t *testing.T) {
	b := serve(t, simulator.Options{Rate: 10_000})
	c := b.dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.await(t, "customers write", func(s simulator.Stats) bool { return s.Messages > 50 })
	b.Pause()
	want := b.stats(t)
	c.send(t, `{"type":"ping"}`)
	got := map[string]int{}
	for {
		raw := c.raw(t)
		kind := kindOf(t, raw)
		if kind == "pong" {
			break
		}
		got[kind]++
	}
	for kind, n := range want.Events {
		if n.Total != got[kind] || n.Heard != got[kind] {
			t.Errorf("%d of %+v %s were heard", got[kind], n, kind)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
