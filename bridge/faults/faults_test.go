package faults_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/bridge/faults"
)

var (
	loadFor = flag.Duration("faults.for", 4*time.Second, "how long there is load on each fault")
	settle  = flag.Duration("faults.settle", 150*time.Second, "how long everything may then take to come right")
	seed    = flag.Uint64("faults.seed", 0, "makes the load of a run again (default: any)")
)

// sideBySide is how many rows are measured at once where -parallel does not
// say: most of a row is waiting.
const sideBySide = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", sideBySide); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		// The server stops its own clock for the whole process at the end only.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.init.0.func1"))
}

// TestFaults is the fault table: no bad column of any row may be anything but 0.
func TestFaults(t *testing.T) {
	t.Parallel()
	binary := build(t)
	for _, name := range faults.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := measure(t, binary, name)
			if !row.OK() {
				t.Error(row.Explain())
			}
		})
	}
}

// variants are the product with one of its promises taken out, each with a row
// that must be red for it, and the column that must say so.
var variants = []struct {
	name, tag, fault string
	red              func(faults.Row) int
}{
	{"last messages compared instead of sets", "broken_sets", "burst", func(r faults.Row) int { return r.Missing }},
	{"the consumer is not reset", "broken_reset", "killed-in-flush", func(r faults.Row) int { return r.DoneOrder }},
	{"no ledger", "broken_ledger", "killed-in-flush", func(r faults.Row) int { return r.DoneTwice }},
	{"no look before an action is sent again", "broken_look", "deaf", func(r faults.Row) int { return r.DoneTwice }},
}

// TestBrokenVariants shows that the table can be red. A variant is the product
// built with a tag. Whether a kill meets the moment that matters is a matter of
// chance, so that a row has a few tries.
func TestBrokenVariants(t *testing.T) {
	t.Parallel()
	const tries = 3
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			binary := build(t, v.tag)
			for range tries {
				row := measure(t, binary, v.fault)
				if row.Error != "" {
					t.Fatal(row.Explain())
				}
				if v.red(row) > 0 {
					return
				}
			}
			t.Errorf("%d times not red by what %s breaks", tries, v.tag)
		})
	}
}

func measure(t *testing.T, binary, fault string) faults.Row {
	t.Helper()
	report, err := faults.Run(t.Context(), faults.Options{
		Binary: binary, Faults: []string{fault}, For: *loadFor, Settle: *settle, Seed: *seed, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	row := report.Rows[0]
	figures := fmt.Sprintf("seed %d, settled after %.1fs:", report.Seed, row.Settled)
	for _, c := range faults.Columns {
		figures += fmt.Sprintf(" %s %d", c.Name, c.Of(row))
	}
	t.Log(figures)
	return row
}

// building lets one build follow the other: they would only slow each other.
var building sync.Mutex

// build builds the program, with tags where there are any.
func build(t *testing.T, tags ...string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	binary := filepath.Join(t.TempDir(), "switchboard")
	cmd := exec.Command("go", "build", "-tags", strings.Join(tags, ","), "-o", binary, "./cmd/switchboard")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOFLAGS=") // plain, whatever the test is built with
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return binary
}
