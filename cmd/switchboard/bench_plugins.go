package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/badplugins"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
)

func newBenchPlugins() *cobra.Command {
	o := badplugins.Options{Binary: process.Self()}
	var asJSON, logs bool
	c := &cobra.Command{
		Use: "plugins", Short: "Run bad plugins beside good ones, and count what the good ones lose", Args: exactly(0),
		Long:    longBenchPlugins(),
		Example: "  switchboard bench plugins --parallel 4\n  switchboard bench plugins --plugins hangs --for 5m --logs",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, name := range o.Plugins {
				if does, _ := badplugins.Does(name); does == "" {
					return usagef("--plugins: %q is none: %s", name, config.Hint(name, badplugins.Names()))
				}
			}
			if o.For <= 0 || o.Patience <= 0 {
				return usagef("--for and --patience must be more than 0")
			}
			if logs {
				o.Log = c.ErrOrStderr()
			}
			return runBadPlugins(c, o, asJSON)
		},
	}
	c.Flags().StringSliceVar(&o.Plugins, "plugins", nil, "those to run (default: all)")
	c.Flags().DurationVar(&o.For, "for", 8*time.Second, "how long there is load beside each, at least")
	c.Flags().DurationVar(&o.Patience, "patience", 90*time.Second, "how long it may take to end as it must")
	c.Flags().Float64Var(&o.Events, "events", 50, "events per second")
	c.Flags().IntVar(&o.Conversations, "conversations", 20, "conversations going on at a time")
	c.Flags().DurationVar(&o.Late, "late", time.Second, "how late 99 of 100 events of the good ones may be")
	c.Flags().DurationVar(&o.TooLate, "too-late", 5*time.Second, "how late none of them may be")
	c.Flags().IntVar(&o.Parallel, "parallel", 1, "how many are run at once, each beside a bridge of its own")
	c.Flags().BoolVar(&logs, "logs", false, "print to stderr what the bridges of bad rows have logged")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	complete(c, "plugins", func(*cobra.Command) []string { return badplugins.Names() })
	c.AddCommand(&cobra.Command{
		Use: "play PART DIRECTORY", Short: "Be one of these plugins", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return badplugins.Play(args[0], args[1]) },
	})
	return c
}

func longBenchPlugins() string {
	var b strings.Builder
	b.WriteString(`For each bad plugin, run this program as a bridge between a simulated backend and
NATS, with two good plugins beside it and under a steady load, until the bad one
has ended as it must. The good ones must lose nothing and not be late. What is bad
must be 0, or the exit status is 1.

The bad plugins, and how they must end:
`)
	t := newTable(&b)
	for _, name := range badplugins.Names() {
		does, ends := badplugins.Does(name)
		fmt.Fprintf(t, "  %s\t%s\t%s\n", name, does, ends)
	}
	_ = t.Flush() // a strings.Builder takes everything
	b.WriteString("\nThe columns; those with a * must be 0:\n")
	for _, column := range badplugins.Columns {
		mark := ""
		if column.Bad {
			mark = "*"
		}
		fmt.Fprintf(t, "  %s%s\t%s\n", column.Name, mark, column.Means)
	}
	_ = t.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// runBadPlugins measures, and prints the rows as they come.
func runBadPlugins(c *cobra.Command, o badplugins.Options, asJSON bool) error {
	out := c.OutOrStdout()
	header := badplugins.Header()
	var widths []int
	for i := range header[0] {
		widths = append(widths, max(cells(header[0][i]), cells(header[1][i])))
	}
	for _, name := range badplugins.Names() {
		widths[0] = max(widths[0], cells(name))
	}
	pen, table := newPen(out), newColumns(out, widths...)
	var failed error // of the first line that could not be printed
	show := func(line []string) {
		if err := table.print(line...); failed == nil {
			failed = err
		}
	}
	if !asJSON {
		for _, line := range header {
			for i := range line {
				line[i] = pen.dim(line[i])
			}
			show(line)
		}
		o.Progress = func(r badplugins.Row) {
			line := r.Cells()
			for i, column := range badplugins.Columns {
				if column.Bad && column.Of(r) != 0 {
					line[i+1] = pen.bad(line[i+1])
				}
			}
			line[len(line)-1] = short(line[len(line)-1], 100)
			show(line)
		}
	}
	report, err := badplugins.Run(c.Context(), o)
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case asJSON:
		err = json.NewEncoder(out).Encode(report)
	default:
		_, err = io.WriteString(out, plainLines(explained(report)))
	}
	if err == nil && !report.OK() {
		err = errSaid
	}
	return err
}

// explained tells what is wrong in the rows that are not ok.
func explained(report badplugins.Report) string {
	var b strings.Builder
	for _, row := range report.Rows {
		if !row.OK() {
			b.WriteString("\n" + row.Explain())
		}
	}
	return b.String()
}
