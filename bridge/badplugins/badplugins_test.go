package badplugins_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/bridge/badplugins"
)

var (
	loadFor  = flag.Duration("badplugins.for", 5*time.Second, "how long there is load beside each bad plugin, at least")
	patience = flag.Duration("badplugins.patience", 3*time.Minute, "how long a bad plugin may take to end as it must")
	late     = flag.Duration("badplugins.late", 0, "how late 99 of 100 events may be (default: 1s); five times of it none")
	binary   = flag.String("badplugins.binary", "", "the program to measure (default: it is built)")
)

// sideBySide is how many rows are measured at once where -parallel does not
// say: most of a row is waiting.
const sideBySide = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", sideBySide); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// TestBadPlugins is the table: no bad column of any row may be anything but 0.
// One row, and longer: -run TestBadPlugins/hangs -badplugins.for 5m.
func TestBadPlugins(t *testing.T) {
	program := *binary
	if program == "" {
		program = build(t)
	}
	for _, name := range badplugins.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := measure(t, program, name)
			if row.LateOnly() {
				t.Log("once more, for the machine may have been busy:", row.Explain())
				row = measure(t, program, name)
			}
			if !row.OK() {
				t.Error(row.Explain())
			}
		})
	}
}

func measure(t *testing.T, program, name string) badplugins.Row {
	t.Helper()
	report, err := badplugins.Run(t.Context(), badplugins.Options{
		Binary: program, Plugins: []string{name}, For: *loadFor, Patience: *patience,
		Late: *late, TooLate: 5 * *late, Settle: time.Minute, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	row := report.Rows[0]
	figures := fmt.Sprintf("load %.1fs, settled after %.1fs, ended in %.1fs:", row.Load, row.Settled, row.Stop)
	for i, cell := range row.Cells()[1 : len(badplugins.Columns)+1] {
		figures += fmt.Sprintf(" %s %s", badplugins.Columns[i].Name, cell)
	}
	t.Logf("%s; %s", figures, row.End())
	return row
}

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "switchboard")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/switchboard")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOFLAGS=") // plain, whatever the test is built with
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return program
}
