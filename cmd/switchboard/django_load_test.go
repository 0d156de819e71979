package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// load has customers and other agents use the backend, until endLoad.
func (w *djangoWorld) load(t *testing.T) {
	t.Helper()
	w.loads++
	args := []string{
		"load", "--rate", "150", "--for", "120", "--conversations", fmt.Sprint(conversations),
		"--spare", "2", "--seed", fmt.Sprint(w.loads),
	}
	if w.fault.frames != "" {
		args = append(args, "--frames", w.fault.frames)
	}
	w.loader, w.loaded = w.command(args...), &bytes.Buffer{}
	w.loader.Stdout = w.loaded
	stderr, err := w.loader.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.loader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.endLoad(t) })
	// Told to end before it has begun, it would end as by accident.
	if said, err := bufio.NewReader(stderr).ReadString('\n'); said != "loading\n" {
		t.Fatalf("the load said %q: %v", said, err)
	}
}

// endLoad ends it, where it runs: what it has begun is still done and told.
func (w *djangoWorld) endLoad(t *testing.T) {
	t.Helper()
	if w.loader == nil {
		return
	}
	if err := w.loader.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	w.awaitLoad(t, true)
}

// awaitLoad waits for the end of the load, well or not.
func (w *djangoWorld) awaitLoad(t *testing.T, well bool) {
	t.Helper()
	timer := time.AfterFunc(patience, func() { _ = w.loader.Process.Kill() }) // which is not well
	defer timer.Stop()
	err := w.loader.Wait()
	w.loader = nil
	if (err == nil) != well {
		t.Errorf("the load ended with %v:\n%s", err, w.loaded)
	}
}

// manage runs one of the backend's commands.
func (w *djangoWorld) manage(t *testing.T, args ...string) {
	t.Helper()
	if out, err := w.command(args...).CombinedOutput(); err != nil {
		t.Fatalf("manage.py %s: %v\n%s", args[0], err, out)
	}
}

func (w *djangoWorld) command(args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/bin/python3", append([]string{"-sB", "manage.py"}, args...)...)
	cmd.Dir = "../../examples/django-backend"
	cmd.Env = append(os.Environ(), "DATABASE="+w.backend.data+"/db.sqlite3",
		fmt.Sprintf("REDIS_URL=redis://127.0.0.1:%d/0", w.backend.redis))
	return cmd
}

// proxy stands between a bridge and its backend, and knows of bytes only.
type proxy struct {
	listener net.Listener
	backend  string
	lines    sync.WaitGroup

	mu   sync.Mutex
	open map[*line]bool
}

// line is one connection with both its ends.
type line struct {
	ends [2]net.Conn
	// frozen: what comes is taken and goes nowhere.
	frozen bool
}

func newProxy(t *testing.T, backend string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, backend: backend, open: map[*line]bool{}}
	p.lines.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close() // nobody is left to ask
		p.cut()
		p.lines.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.backend)
		if err != nil {
			_ = near.Close() // the backend is away: so are we
			continue
		}
		l := &line{ends: [2]net.Conn{near, far}}
		p.mu.Lock()
		p.open[l] = true
		p.mu.Unlock()
		for i := range l.ends {
			p.lines.Go(func() { p.pass(l, l.ends[i], l.ends[1-i]) })
		}
	}
}

// pass carries one direction. A frozen line ends when the bridge ends it.
func (p *proxy) pass(l *line, from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !p.isFrozen(l) {
			_, werr := to.Write(buffer[:n])
			if err == nil {
				err = werr
			}
		}
		if err == nil {
			continue
		}
		if from == l.ends[1] && p.isFrozen(l) {
			return // the bridge is not to notice
		}
		p.end(l)
		return
	}
}

func (p *proxy) isFrozen(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.frozen
}

func (p *proxy) end(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, l)
	for _, c := range l.ends {
		_ = c.Close() // the other direction may have closed it
	}
}

// cut ends every connection.
func (p *proxy) cut() {
	p.each(p.end)
}

// freeze has every connection that there is live on without a byte. New ones
// are well.
func (p *proxy) freeze() {
	p.each(func(l *line) {
		p.mu.Lock()
		defer p.mu.Unlock()
		l.frozen = true
	})
}

func (p *proxy) each(do func(*line)) {
	p.mu.Lock()
	var all []*line
	for l := range p.open {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		do(l)
	}
}
