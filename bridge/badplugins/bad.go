package badplugins

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
)

// The bad plugins that an author could make by mistake, with the SDK.

// at is the event at which they do their harm: by then there is a load.
const at = 20

func playHealthy(dir string) { serve("healthy", recording(openNotebook(dir, bad), done)) }

func playCrashAtStart(string) {
	fmt.Fprintln(os.Stderr, "reading the licence")
	fmt.Fprintln(os.Stderr, "there is no licence")
	os.Exit(3)
}

func playSilent(dir string) {
	openNotebook(dir, bad).write(record{Kind: struck})
	forever()
}

// playPanic stumbles over some events, however often they come.
func playPanic(dir string) {
	n := openNotebook(dir, bad)
	serve("panics", func(_ context.Context, d *sdk.Delivery) error {
		n.got(d)
		if strings.HasSuffix(d.Event.ID, "0") || strings.HasSuffix(d.Event.ID, "7") {
			harm(n, d.Event)
			panic("out of cheese")
		}
		return nil
	}, 100*time.Millisecond, 200*time.Millisecond)
}

func playPanicBeside(dir string) {
	n := openNotebook(dir, bad)
	serve("panics-beside", recording(n, func(d *sdk.Delivery, count int64) error {
		if count == at {
			harm(n, d.Event)
			go outOfCheese()
		}
		return nil
	}))
}

func outOfCheese() { panic("out of cheese") }

// playHang waits for itself, and with it whoever comes after.
func playHang(dir string) {
	n := openNotebook(dir, bad)
	var mu sync.Mutex
	serve("hangs", recording(n, func(d *sdk.Delivery, count int64) error {
		mu.Lock()
		defer mu.Unlock()
		if count >= at {
			harm(n, d.Event)
			mu.Lock()
		}
		return nil
	}))
}

// playStopped has an event in hand when it is stopped, which is done from
// outside: the first process of a PID namespace does not stop itself.
func playStopped(dir string) {
	before, _ := readRecords(dir, bad) // that they cannot be read is told by the next line
	n := openNotebook(dir, bad)
	serve("stopped", recording(n, func(d *sdk.Delivery, count int64) error {
		if count == at && len(before) == 0 {
			harm(n, d.Event)
			forever()
		}
		return nil
	}))
}

// forged is a line that a plugin would like to have in the log under another's
// name, and noise what it prints otherwise.
const (
	forged = "I am the recorder"
	noise  = "lorem ipsum"
)

// playNoise prints past the SDK, which has taken os.Stdout away from the
// handlers by then.
func playNoise(dir string) {
	n := openNotebook(dir, bad)
	random := make([]byte, 4<<10)
	_, _ = rand.Read(random) // it never fails
	junk := slices.Concat(
		[]byte(noise+"\n1|1|unix|/tmp/other.sock|grpc|\n"),
		fmt.Appendf(nil, "{\"@level\":\"error\",\"@message\":%q,\"plugin\":%q}\n", forged, recorder),
		[]byte("{\"@level\":7,\"@message\":[]}\n"), random,
		[]byte(strings.Repeat("x", 128<<10)), // no end of line
	)
	serve("noise", recording(n, func(d *sdk.Delivery, count int64) error {
		if count%at == 1 {
			harm(n, d.Event)
			for _, fd := range []int{1, 2} {
				if _, err := syscall.Write(fd, junk); err != nil {
					return err
				}
			}
			fmt.Println(noise)
		}
		return nil
	}))
}

// playJunkFirst prints where the handshake should be.
func playJunkFirst(dir string) {
	fmt.Println("Hello, I am a plugin!")
	playHealthy(dir)
}

// playFork leaves a child that holds what it prints to, and ends.
func playFork(dir string) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, slices.Concat(PlayArgs, []string{child, dir})...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	exitAt("forks", at, 5)(dir)
}

// playPicky has a configuration that must be right.
func playPicky(string) {
	type config struct {
		Greeting string `json:"greeting" jsonschema:"what it says"`
	}
	sdk.Serve(sdk.Plugin[config]{
		Name: "picky", Version: "1.0.0", Events: []string{"*"}, Configure: sdk.Handle[config](sdk.Handlers{}),
	})
}
