package process

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestKilledPluginIsSeen(t *testing.T) {
	p := start(t, options(t, "healthy"))
	syscall.Kill(p.PID(), syscall.SIGKILL)
	t.Logf("exit seen in %s", exitsWithin(t, time.Second, p))

	var exit *ExitError
	if err := p.Err(); !errors.As(err, &exit) || err.Error() != "ended with signal: killed" {
		t.Errorf("Err: %v", err)
	}
	if _, err := tryCall(t.Context(), p, "repeat 1"); err == nil {
		t.Error("a call to a killed plugin succeeded")
	}
}

func TestUnwillingPluginIsKilled(t *testing.T) {
	tests := []struct {
		name, role string
		signal     syscall.Signal
	}{
		{name: "stopped by SIGSTOP", role: "healthy", signal: syscall.SIGSTOP},
		{name: "ignores SIGTERM and Shutdown", role: "stubborn", signal: syscall.SIGTERM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, options(t, tt.role))
			syscall.Kill(p.PID(), tt.signal)
			if tt.signal == syscall.SIGSTOP {
				// Until its last thread has heard of it, it can still obey.
				var status syscall.WaitStatus
				if _, err := syscall.Wait4(p.PID(), &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
					t.Fatalf("not stopped: %#x, %v", status, err)
				}
			}
			began := time.Now()
			var callers sync.WaitGroup
			for range 3 {
				callers.Go(func() { p.Stop(context.Background()) })
			}
			callers.Wait()
			took := time.Since(began)
			t.Logf("gone after %s", took)
			if took < time.Second || took > 3*time.Second {
				t.Errorf("stopped after %s", took)
			}
			if got := p.Err().Error(); got != "ended with signal: killed" {
				t.Errorf("Err: %s", got)
			}
		})
	}
}

func TestStopWithEndedContextKillsAtOnce(t *testing.T) {
	p := start(t, options(t, "stubborn"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	p.Stop(ctx)
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func TestForkedChild(t *testing.T) {
	t.Run("dies with the plugin", func(t *testing.T) {
		p := start(t, options(t, "family"))
		pid, _ := strconv.Atoi(call(t, p, "child"))
		if !alive(pid) {
			t.Fatal("the plugin has no child")
		}
		syscall.Kill(p.PID(), syscall.SIGKILL)
		t.Logf("exit seen in %s", exitsWithin(t, time.Second, p))
		within(t, time.Second, "the child is gone", func() bool { return !alive(pid) })
	})
	t.Run("in a session of its own holds nothing up", func(t *testing.T) {
		opts := options(t, "escaped family")
		opts.shared = true
		p := start(t, opts)
		pid, _ := strconv.Atoi(call(t, p, "child"))
		if !alive(pid) {
			t.Fatal("the plugin has no child")
		}
		defer syscall.Kill(pid, syscall.SIGKILL)
		syscall.Kill(p.PID(), syscall.SIGKILL)
		t.Logf("exit seen in %s", exitsWithin(t, time.Second, p))
		if !alive(pid) {
			t.Error("the child did not escape: the test tests nothing")
		}
	})
}

func TestRestartsLeakNothing(t *testing.T) {
	opts := options(t, "healthy")
	before := goleak.IgnoreCurrent()
	for i := range 20 {
		p := start(t, opts)
		if i%2 == 0 {
			syscall.Kill(p.PID(), syscall.SIGKILL)
			exitsWithin(t, time.Second, p)
		} else {
			p.Stop(t.Context())
		}
		nothingLeft(t, opts)
	}
	goleak.VerifyNone(t, before)
}

func TestPanicIsOneRecord(t *testing.T) {
	var logged records
	opts := options(t, "healthy")
	opts.Logger = logged.logger()
	p := start(t, opts)
	tryCall(t.Context(), p, "panic out of cheese")
	exitsWithin(t, time.Second, p)

	r, ok := logged.find("panic: out of cheese")
	if !ok {
		t.Fatalf("no record of the panic at exit:\n%s", logged.buf.String())
	}
	stack, _ := r["stack"].(string)
	if r["level"] != "ERROR" || r["plugin"] != "tester" || !strings.Contains(stack, "goroutine ") || !strings.Contains(stack, "plugin_test.go:") {
		t.Errorf("record: %v", r)
	}
}

func TestPluginsOutputIsLogged(t *testing.T) {
	var logged records
	opts := options(t, "healthy")
	opts.Logger = logged.logger()
	p := start(t, opts)
	call(t, p, "stderr "+`{"@level":"warn","@message":"slow","id":9007199254740993}`+"\n")
	call(t, p, "stderr a line\n")
	call(t, p, "stderr "+`{"@level":"info","@message":1}`+"\n") // go-plugin's own reader dies of this
	call(t, p, "stdout "+strings.Repeat("y", 200_000)+"\n")     // go-plugin's own reader gives up at this
	call(t, p, "stdout after it\n")
	call(t, p, "os the library")

	if r := logged.wait(t, "slow"); r["level"] != "WARN" || r["plugin"] != "tester" {
		t.Errorf("record: %v", r)
	}
	for _, line := range []string{"a line", `{"@level":"info","@message":1}`, "after it", "stdout of the library"} {
		if r := logged.wait(t, line); r["level"] != "INFO" || r["plugin"] != "tester" {
			t.Errorf("record: %v", r)
		}
	}
	p.Stop(t.Context())
	logged.wait(t, "stderr of the library")
	if r := logged.wait(t, "go-plugin: plugin exited"); r["level"] != "DEBUG" {
		t.Errorf("record: %v", r)
	}
}
