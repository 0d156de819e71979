package host_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
)

// With a real process that is stopped: pings every 10 s, 10 s for an answer,
// and 2 s for its end.
func TestAStoppedPluginIsStartedAgain(t *testing.T) {
	w := newWorld(time.Minute)
	h := startHost(t, w, host.Limits{}, role("tester", "recorder"))
	first := h.reaches(t, "tester", host.Running)
	w.publish(message("a", 1))
	w.acked(t, defaultFeed, 1)
	if err := syscall.Kill(first.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.publish(message("a", 2))
	w.acked(t, defaultFeed, 2)
	took := time.Since(began)
	t.Logf("handled by another process after %s", took)
	s := h.reaches(t, "tester", host.Running)
	if s.PID == first.PID || s.Restarts != 1 {
		t.Errorf("status %+v", s)
	}
	d, err := h.Show("tester")
	if err != nil || len(d.Ends) != 1 || d.Ends[0].PID != first.PID || !strings.Contains(d.Ends[0].Reason, "hangs") {
		t.Fatalf("its ends: %+v, %v", d.Ends, err)
	}
	// To notice it takes up to 20 s, and to end it 3 s.
	if took := d.Ends[0].At.Sub(began); took > 30*time.Second {
		t.Errorf("it was noticed and ended after %s", took)
	}
}
