package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary the command as well: for the scripts in
// testdata/script, for tests that run it, and for the built-in plugins, which
// the bridge starts as itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		os.Exit(run(os.Args[1:]))
	}
	testscript.Main(m, map[string]func(){
		"switchboard": func() { os.Exit(run(os.Args[1:])) },
		"timers":      keepTimers,
	})
}
