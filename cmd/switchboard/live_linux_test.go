package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of 80×24.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// ending is how long a demo may take to end: where its bridge was killed, an
// action may have to be looked for until the settling time is over.
const ending = 100 * time.Second

func TestOnATerminalTheDemoIsLiveAndLeavesItAsItWas(t *testing.T) {
	for name, key := range map[string]string{"q": "q", "Ctrl-C": "\x03", "q, after the bridge was killed": "q"} {
		t.Run(name, func(t *testing.T) {
			master, slave := terminal(t)
			before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "switchboard", "demo", "--rate", "20")
			cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=yes")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			seen := &seen{}
			go func() { _, _ = io.Copy(seen, master) }()
			seen.until(t, "quit")
			if strings.Contains(name, "killed") {
				if _, err := master.WriteString("b"); err != nil {
					t.Fatal(err)
				}
				seen.until(t, "killed the bridge (kill -9 ")
				seen.until(t, "started again as ")
			}
			if _, err := master.WriteString(key); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(ending):
				t.Fatalf("it did not end at %s", name)
			}
			seen.until(t, "nothing was done twice")
			_, after, ok := strings.Cut(seen.String(), "\x1b[?1049l")
			if !ok || !strings.Contains(after, "nothing was lost") {
				t.Errorf("the summary is not on the ordinary screen: %q", seen)
			}
			if strings.Contains(seen.String(), "\x1b[32m") {
				t.Error("there is green in spite of NO_COLOR")
			}
			now, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *now != *before {
				t.Errorf("the terminal is left as %+v, was %+v", now, before)
			}
		})
	}
}

// seen is what a terminal was written.
type seen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *seen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// until waits for text.
func (s *seen) until(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(s.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q within %s in %q", text, patience, s)
		}
	}
}
