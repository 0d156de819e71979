package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrHandshake is why a start failed when the plugin's first line on stdout
// was not a handshake that this host can accept.
var ErrHandshake = errors.New("handshake refused")

// StartError says why a plugin could not be started, in one line.
type StartError struct {
	Plugin string
	// Err is what went wrong: a [*ChecksumError], an [*ExitError], one that
	// wraps [ErrHandshake], fs.ErrNotExist, context.DeadlineExceeded, ….
	Err error
	// Output is the last of what the plugin printed on stderr, where it ended
	// by itself.
	Output string
	// Hint says how to mend it; may be empty.
	Hint string
}

func (e *StartError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "start plugin %q: %v", e.Plugin, e.Err)
	if e.Output != "" {
		fmt.Fprintf(&b, ", having printed %q", e.Output)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	// go-plugin's own errors are paragraphs.
	return strings.Join(strings.Fields(b.String()), " ")
}

func (e *StartError) Unwrap() error { return e.Err }

// startError names the plugin in err, where that is a StartError already.
func startError(name string, err error) error {
	var e *StartError
	if !errors.As(err, &e) {
		e = &StartError{Err: err}
	}
	e.Plugin = name
	return e
}

// problem is a StartError with a hint and the error that the format makes.
func problem(hint, format string, args ...any) error {
	return &StartError{Err: fmt.Errorf(format, args...), Hint: hint}
}

// ExitError says how a process ended, on its own or by [Process.Stop].
type ExitError struct {
	// State has the exit status or the signal, and what the process used.
	State *os.ProcessState
}

func (e *ExitError) Error() string { return "ended with " + e.State.String() }
