package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
)

func newDead() *cobra.Command {
	c := &cobra.Command{
		Use: "dead", Short: "List, show, replay or drop dead letters: actions that failed, events that plugins gave up",
		RunE: func(*cobra.Command, []string) error { return usagef("dead takes list, show, replay or drop") },
	}
	c.AddCommand(newDeadList(), newDeadShow(), newDeadReplay(), newDeadDrop())
	return c
}

// deadFlags are those that select dead letters.
type deadFlags struct {
	dialFlags
	bus.DeadFilter
}

func (f *deadFlags) add(c *cobra.Command) {
	f.dialFlags.add(c)
	c.Flags().StringVar(&f.Owner, "owner", "", "those of this owner only: a plugin, or "+bus.OutboxOwner+" for actions")
	c.Flags().StringVarP(&f.Account, "account", "a", "", "those of this account only")
	c.Flags().StringVar(&f.Conversation, "conversation", "", "those of this conversation only")
	complete(c, "owner", func(c *cobra.Command) []string { return append(f.config.plugins(c), bus.OutboxOwner) })
	complete(c, "account", f.config.accounts)
}

func newDeadList() *cobra.Command {
	var f deadFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List dead letters, the oldest first", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := f.dial()
			if err != nil {
				return err
			}
			list, err := client.Dead(c.Context(), f.DeadFilter)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			return printDead(c.OutOrStdout(), list)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return c
}

func printDead(out io.Writer, list []api.DeadLetter) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	w, p, now := newTable(out), newPen(out), time.Now()
	fmt.Fprintln(w, p.dim("SEQ\tOWNER\tFEED\tACCOUNT\tCONVERSATION\tTYPE\tID\tAGE\tATTEMPTS\tREASON"))
	for _, d := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", d.Sequence, plain(d.Owner), cmp.Or(short(d.Feed, maxColumn), "-"), plain(d.Account), short(d.Conversation, maxColumn),
			plain(d.Type), short(d.ID, maxColumn), live.Ago(now, d.Stored), d.Attempts, short(d.Reason, 60))
	}
	return w.Flush()
}

func newDeadShow() *cobra.Command {
	var d dialFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "show SEQ", Short: "Show a dead letter: why, its headers and its body", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			list, err := sequences(args)
			if err != nil {
				return err
			}
			client, err := d.dial()
			if err != nil {
				return err
			}
			letter, err := client.DeadLetter(c.Context(), list[0])
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(letter)
			}
			return printLetter(c.OutOrStdout(), letter)
		},
	}
	d.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func printLetter(out io.Writer, d api.DeadLetter) error {
	w, p := newTable(out), newPen(out)
	for _, line := range [][2]string{
		{"owner", d.Owner}, {"feed", cmp.Or(d.Feed, "-")}, {"account", d.Account}, {"conversation", d.Conversation}, {"type", d.Type}, {"id", d.ID},
		{"reason", d.Reason}, {"attempts", strconv.Itoa(d.Attempts)}, {"stored", d.Stored.UTC().Format(time.RFC3339)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], plain(line[1]))
	}
	fmt.Fprintln(w, "\n"+p.dim("HEADERS"))
	for _, name := range slices.Sorted(maps.Keys(d.Headers)) {
		fmt.Fprintf(w, "%s\t%s\n", plain(name), plain(strings.Join(d.Headers[name], ", ")))
	}
	fmt.Fprintln(w, "\n"+p.dim("BODY"))
	body := d.Body
	if d.Raw != nil {
		body = fmt.Sprintf("%d bytes that are no text: --json has them", len(d.Raw))
	}
	// Not by the table: a line of a body is no line of cells.
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.SplitSeq(body, "\n") {
		if _, err := fmt.Fprintln(out, plain(line)); err != nil {
			return err
		}
	}
	return nil
}

func newDeadReplay() *cobra.Command {
	return newDeadDo(deadDo{
		name: "replay", done: "replayed", short: "Have failed actions done again, and events given to their plugin again",
		long: `Have the actions of dead letters done again: each becomes a new action of the
same sender, at once, whose id is the old one and "/replay-SEQ".

An event that a plugin gave up is delivered to that plugin's feed once more, and
to no other: in order per conversation, beside what is new, with its retries
anew, and with a key that no delivery before had.

The dead letter is removed when what it became is on disk. With --all, where one
fails, those of its conversation that come after it are left as they are.`,
		do: func(ctx context.Context, client *api.Client, sequence uint64) (string, error) {
			done, err := client.ReplayDead(ctx, sequence)
			if done.Plugin != "" {
				return "goes to " + plain(done.Plugin) + "  " + plain(done.Key), err
			}
			return "accepted  " + plain(done.ID), err
		},
		ordered: true,
	})
}

func newDeadDrop() *cobra.Command {
	return newDeadDo(deadDo{
		name: "drop", done: "dropped", short: "Remove dead letters for good",
		long: "Remove dead letters for good, without asking.",
		do: func(ctx context.Context, client *api.Client, sequence uint64) (string, error) {
			return "", client.DropDead(ctx, sequence)
		},
	})
}

// deadDo is something that is done with dead letters one after the other.
type deadDo struct {
	name, done, short, long string
	// ordered: what could not be done with one is not done with what comes
	// after it in its conversation.
	ordered bool
	// do may return a line to print.
	do func(ctx context.Context, client *api.Client, sequence uint64) (line string, err error)
}

func newDeadDo(what deadDo) *cobra.Command {
	var f deadFlags
	var all bool
	c := &cobra.Command{
		Use: what.name + " SEQ…", Short: what.short,
		Long:    what.long + "\n\nName them by the sequences that `switchboard dead list` shows, or take --all,\nwhich the other flags narrow.",
		Example: "  switchboard dead " + what.name + " 4 7\n  switchboard dead " + what.name + " --all --owner " + bus.OutboxOwner + " --account 7",
		RunE: func(c *cobra.Command, args []string) error {
			filtered := f.DeadFilter != bus.DeadFilter{}
			switch {
			case all && len(args) > 0:
				return usagef("dead %s takes sequences or --all, not both", what.name)
			case !all && len(args) == 0:
				return usagef("dead %s takes the sequences that `switchboard dead list` shows, or --all", what.name)
			case !all && filtered:
				return usagef("--owner, --account and --conversation narrow --all, and go with no sequences")
			}
			named, err := sequences(args)
			if err != nil {
				return err
			}
			client, err := f.dial()
			if err != nil {
				return err
			}
			var list []api.DeadLetter
			for _, n := range named {
				list = append(list, api.DeadLetter{Sequence: n})
			}
			if all {
				if list, err = client.Dead(c.Context(), f.DeadFilter); err != nil {
					return err
				}
			}
			return what.all(c, client, list)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&all, "all", false, "all of them, or those that --owner, --account and --conversation select")
	return c
}

// all does it with each, and says with how many; one that fails does not keep
// the others from it.
func (w deadDo) all(c *cobra.Command, client *api.Client, list []api.DeadLetter) error {
	done := 0
	type conversation struct{ owner, feed, account, id string }
	failed := map[conversation]bool{}
	for _, d := range list {
		of := conversation{d.Owner, d.Feed, d.Account, d.Conversation}
		if failed[of] {
			continue
		}
		line, err := w.do(c.Context(), client, d.Sequence)
		if err != nil {
			failed[of] = w.ordered && d.Owner != ""
			fmt.Fprintln(c.ErrOrStderr(), message(err))
			if c.Context().Err() != nil {
				break
			}
			continue
		}
		done++
		if line == "" {
			continue
		}
		if _, err := fmt.Fprintln(c.OutOrStdout(), line); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "%d %s\n", done, w.done); err != nil {
		return err
	}
	if done < len(list) {
		return errSaid
	}
	return nil
}

func sequences(args []string) (list []uint64, err error) {
	for _, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || n == 0 {
			return nil, usagef("%q is no sequence of `switchboard dead list`", arg)
		}
		list = append(list, n)
	}
	return list, nil
}
