package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestPluginDiesWithItsHost(t *testing.T) {
	dir := runtimeDir(t)
	host := exec.Command(Self())
	host.Env = append(roleEnv("host"), "DIR="+dir)
	host.Stderr = t.Output()
	stdout, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscan(stdout, &pid)
	if err != nil || !alive(pid) {
		host.Process.Kill()
		host.Wait()
		t.Fatalf("no plugin: pid %d, %v", pid, err)
	}
	host.Process.Signal(syscall.SIGKILL)
	host.Wait()
	began := time.Now()
	within(t, time.Second, "the plugin is gone", func() bool { return !alive(pid) })
	t.Logf("gone after %s", time.Since(began))
}

// The kernel kills a child when the thread dies that started it, so that must
// not be one that the Go program ends.
func TestPluginOutlivesTheThreadOfItsStart(t *testing.T) {
	opts := options(t, "healthy")
	started := make(chan *Process)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		p, err := Start(t.Context(), opts)
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	p := <-started
	if p == nil {
		return
	}
	defer nothingLeft(t, opts)
	defer p.Stop(t.Context())
	for range 50 {
		ended := make(chan struct{})
		go func() { runtime.LockOSThread(); close(ended) }()
		<-ended
		if err := p.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStdinIsEmpty(t *testing.T) {
	p := start(t, options(t, "healthy"))
	if got := call(t, p, "stdin"); got != os.DevNull {
		t.Errorf("stdin is %s", got)
	}
}
