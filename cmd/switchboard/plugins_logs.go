package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newPluginsLogs() *cobra.Command {
	var d dialFlags
	var n int
	var follow, asJSON bool
	c := &cobra.Command{
		Use: "logs NAME", Short: "Print a plugin's log", Args: exactly(1), ValidArgsFunction: first(d.config.plugins),
		Long: `Print the latest of what a plugin wrote to its log or printed, and of what its host
says of it. The bridge keeps the last 1,000 records of each plugin, up to 1 MiB;
it writes them to its own log as well.`,
		Example: `  switchboard plugins logs greeter
  switchboard plugins logs greeter -n 20 --follow`,
		RunE: func(c *cobra.Command, args []string) error {
			if n < 0 {
				return usagef("-n %d is no number of records", n)
			}
			client, err := d.dial()
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			p := newPen(out)
			return client.PluginLogs(c.Context(), args[0], n, follow, func(record json.RawMessage) error {
				if asJSON {
					_, err := fmt.Fprintf(out, "%s\n", record)
					return err
				}
				return printRecord(out, p, record)
			})
		},
	}
	d.add(c)
	c.Flags().IntVarP(&n, "lines", "n", 100, "how many records of the past")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until interrupted")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// printRecord prints a record of slog's JSON handler: time, level, message, and
// what else there is, in its order. A stack is printed below.
func printRecord(out io.Writer, p pen, record json.RawMessage) error {
	var at time.Time
	var level, message, stack string
	var rest strings.Builder
	dec := json.NewDecoder(bytes.NewReader(record))
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("read a record of the log: %w", err)
	}
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err = errors.Join(err, dec.Decode(&value)); err != nil {
			return fmt.Errorf("read a record of the log: %w", err)
		}
		var text string
		isText := json.Unmarshal(value, &text) == nil
		switch key {
		case "time":
			at, _ = time.Parse(time.RFC3339Nano, text)
		case "level":
			level = text
		case "msg":
			message = text
		case "plugin":
		case "stack":
			stack = text
		default:
			shown := plain(string(value))
			if isText && text != "" && !strings.ContainsAny(text, " \t\r\n\"=") {
				shown = plain(text)
			}
			fmt.Fprintf(&rest, " %s=%s", p.dim(plain(fmt.Sprint(key))), shown)
		}
	}
	accent := p.dim
	switch level {
	case "WARN":
		accent = p.warn
	case "ERROR":
		accent = p.bad
	}
	fmt.Fprintf(out, "%s  %s  %s%s\n", at.Local().Format("15:04:05.000"), accent(fmt.Sprintf("%-5s", plain(level))), oneLine(message), rest.String())
	for l := range strings.Lines(stack) {
		if _, err := fmt.Fprintln(out, "    "+plain(strings.ReplaceAll(strings.TrimRight(l, "\n"), "\t", "    "))); err != nil {
			return err
		}
	}
	return nil
}
