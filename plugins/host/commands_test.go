package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
)

func TestAPausedPluginIsNotFedUntilItIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, inside := newWorld(aDay), newHandling()
		m := &memory{serve: inside.plugin}
		h := inMemory(t, w, m, config("v0"))
		w.publish(message("a", 1), message("a", 2))
		time.Sleep(time.Millisecond) // a-1 is inside
		if err := h.Pause(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		if s := h.is(t, "tester", host.Paused); s.PID != 0 || len(m.alive) != 0 {
			t.Errorf("%d live, status %+v", len(m.alive), s)
		}
		if got := w.ackedIDs(defaultFeed); !slices.Equal(got, []string{"a-1"}) {
			t.Errorf("acknowledged %v: it was not drained", got)
		}
		w.publish(message("a", 3))
		time.Sleep(aDay / 2)
		if err := h.Restart(t.Context(), "tester"); err == nil {
			t.Error("it is restarted while paused")
		}
		// Another configuration does not wake it, and is in force when it wakes.
		if done, err := h.Apply(t.Context(), []host.Spec{config("v1")}); err != nil || len(done.Failed) > 0 {
			t.Errorf("%+v, %v", done, err)
		}
		h.is(t, "tester", host.Paused)
		if err := h.Resume(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		w.acked(t, defaultFeed, 3)
		if want := []string{`a-1/"v0"`, `a-2/"v1"`, `a-3/"v1"`}; !slices.Equal(inside.by, want) {
			t.Errorf("handled %v, want %v", inside.by, want)
		}
		if err := h.Resume(t.Context(), "tester"); err == nil || !strings.Contains(err.Error(), "is not paused") {
			t.Errorf("resumed twice: %v", err)
		}
	})
}

func TestARestartIsAnsweredWhenThePluginRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{serve: good}
		h := inMemory(t, newWorld(aDay), m, named("tester")...)
		for range 10 { // and counts as no crash
			before := h.status("tester").PID
			if err := h.Restart(t.Context(), "tester"); err != nil {
				t.Fatal(err)
			}
			if s := h.status("tester"); s.State != host.Running || s.PID == before {
				t.Fatalf("status %+v", s)
			}
		}
		if err := h.Restart(t.Context(), "stranger"); !errors.Is(err, host.ErrNoPlugin) {
			t.Errorf("restart of a stranger: %v", err)
		}
		h.stop()
		if err := h.Restart(t.Context(), "tester"); !errors.Is(err, host.ErrStopped) {
			t.Errorf("restart after the end: %v", err)
		}
	})
}

func TestTheLogOfAPluginIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := inMemory(t, newWorld(aDay), &memory{serve: good}, named("tester", "other")...)
		restart := func(n int) {
			for range n {
				if err := h.Restart(t.Context(), "tester"); err != nil {
					t.Fatal(err)
				}
			}
		}
		count := func(n int) (records []string) {
			t.Helper()
			if err := h.Logs(t.Context(), "tester", n, false, func(line json.RawMessage) error {
				var r struct{ Msg, Plugin string }
				if err := json.Unmarshal(line, &r); err != nil || r.Plugin != "tester" {
					t.Errorf("%s: %v", line, err)
				}
				records = append(records, r.Msg)
				return nil
			}); err != nil {
				t.Error(err)
			}
			return records
		}
		restart(3)
		if got := count(2); len(got) != 2 || got[1] != "plugin is restarted by the operator" {
			t.Errorf("the last two: %q", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		followed := make(chan string, 10)
		ended := make(chan error, 1)
		go func() {
			ended <- h.Logs(ctx, "tester", 1, true, func(line json.RawMessage) error { followed <- string(line); return nil })
		}()
		synctest.Wait()
		restart(2)
		synctest.Wait()
		if len(followed) != 3 {
			t.Errorf("%d records followed, want 3", len(followed))
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the end of following: %v", err)
		}
		if got := len(count(5000)); got != 5 {
			t.Errorf("%d records kept", got)
		}
		if err := h.Logs(t.Context(), "stranger", 1, false, nil); !errors.Is(err, host.ErrNoPlugin) {
			t.Errorf("logs of a stranger: %v", err)
		}
	})
}
