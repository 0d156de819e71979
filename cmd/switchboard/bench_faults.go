package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/faults"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
)

func newBenchFaults() *cobra.Command {
	o := faults.Options{Binary: process.Self()}
	var asJSON, logs bool
	c := &cobra.Command{
		Use: "faults", Short: "Strike a bridge with faults, and count what is lost, doubled or out of order", Args: exactly(0),
		Long:    longBenchFaults(),
		Example: "  switchboard bench faults --faults dropped,killed --for 30s\n  switchboard bench faults --soak 5m --seed 42",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, name := range o.Faults {
				if faults.Does(name) == "" {
					return usagef("--faults: %q is none: %s", name, config.Hint(name, faults.Names()))
				}
			}
			if o.For <= 0 || o.Settle <= 0 || o.Soak < 0 {
				return usagef("--for and --settle must be more than 0, and --soak must not be less")
			}
			if logs {
				o.Log = c.ErrOrStderr()
			}
			v := newFaultView(c.OutOrStdout(), c.ErrOrStderr(), asJSON)
			o.Started, o.Progress = v.started, v.row
			report, err := faults.Run(c.Context(), o)
			if err != nil {
				return err
			}
			if err := v.end(report); err != nil {
				return err
			}
			if !report.OK() {
				return errSaid
			}
			return nil
		},
	}
	c.Flags().StringSliceVar(&o.Faults, "faults", nil, "those to strike (default: all)")
	c.Flags().DurationVar(&o.For, "for", 10*time.Second, "how long there is load, with the fault in its middle")
	c.Flags().DurationVar(&o.Settle, "settle", 90*time.Second, "how long everything may then take to come right")
	c.Flags().DurationVar(&o.Soak, "soak", 0, "strike at random for so long instead, and compare once")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "makes the load of a run again (default: any)")
	c.Flags().Float64Var(&o.Events, "events", 200, "events per second")
	c.Flags().Float64Var(&o.Actions, "actions", 20, "actions per second")
	c.Flags().IntVar(&o.Conversations, "conversations", 50, "conversations going on at a time")
	c.Flags().IntVar(&o.Parallel, "parallel", 1, "how many faults are measured at once, each with a bridge of its own")
	c.Flags().BoolVar(&logs, "logs", false, "print to stderr what the bridges of bad rows have logged")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	complete(c, "faults", func(*cobra.Command) []string { return faults.Names() })
	return c
}

func longBenchFaults() string {
	var b strings.Builder
	b.WriteString(`For each fault, run this program as a bridge between a simulated backend and
NATS, under a steady load. When the fault is mended and the load has stopped, wait
until nothing moves any more, and compare what the backend knows with what is on
the stream. What is bad must be 0, or the exit status is 1.

The faults:
`)
	t := newTable(&b)
	for _, name := range faults.Names() {
		fmt.Fprintf(t, "  %s\t%s\n", name, faults.Does(name))
	}
	_ = t.Flush() // a strings.Builder takes everything
	b.WriteString("\nThe columns; those with a * must be 0:\n")
	for _, column := range faults.Columns {
		mark := ""
		if column.Bad {
			mark = "*"
		}
		fmt.Fprintf(t, "  %s%s\t%s\n", column.Name, mark, column.Means)
	}
	_ = t.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// faultView shows the rows as they come.
type faultView struct {
	out, progress io.Writer
	pen           pen
	table         *columns // nil: JSON is wanted, at the end
	err           error    // of the first line that could not be printed
}

func newFaultView(out, progress io.Writer, asJSON bool) *faultView {
	v := &faultView{out: out, progress: progress, pen: newPen(out)}
	if asJSON {
		return v
	}
	header := faults.Header()
	var widths []int
	for i := range len(header[0]) - 1 {
		widths = append(widths, max(cells(header[0][i]), cells(header[1][i])))
	}
	for _, name := range faults.Names() {
		widths[0] = max(widths[0], cells(name))
	}
	v.table = newColumns(out, widths...)
	for _, line := range header {
		for i := range line {
			line[i] = v.pen.dim(line[i])
		}
		v.print(line)
	}
	return v
}

func (v *faultView) print(line []string) {
	if err := v.table.print(line...); v.err == nil {
		v.err = err
	}
}

// started says on a terminal what is under way.
func (v *faultView) started(fault string) {
	if p := newPen(v.progress); p.on {
		_, _ = fmt.Fprintln(v.progress, p.dim("… "+fault)) // of no account
	}
}

func (v *faultView) row(r faults.Row) {
	if v.table == nil {
		return
	}
	line := r.Cells()
	for i, c := range faults.Columns {
		if c.Bad && line[i+1] != "0" {
			line[i+1] = v.pen.bad(line[i+1])
		}
	}
	last, paint := len(line)-1, pen.bad
	if r.OK() {
		paint = pen.good
	}
	line[last] = paint(v.pen, plain(line[last]))
	v.print(line)
}

// end prints what belongs under the table, or the whole as JSON.
func (v *faultView) end(r faults.Report) error {
	if v.table == nil {
		return json.NewEncoder(v.out).Encode(r)
	}
	if v.err != nil {
		return v.err
	}
	var b strings.Builder
	for _, row := range r.Rows {
		if !row.OK() {
			b.WriteString("\n" + row.Explain())
		}
	}
	fmt.Fprintf(&b, "\nseed %d\n", r.Seed)
	_, err := io.WriteString(v.out, plainLines(b.String()))
	return err
}

// plainLines is the text with each of its lines plain.
func plainLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n")
}
