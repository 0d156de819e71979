package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
)

func newQueue() *cobra.Command {
	c := &cobra.Command{
		Use: "queue", Short: "List the actions that wait to be sent, or cancel one",
		RunE: func(*cobra.Command, []string) error { return usagef("queue takes list or cancel") },
	}
	c.AddCommand(newQueueList(), newQueueCancel())
	return c
}

func newQueueList() *cobra.Command {
	var d dialFlags
	var account, sender string
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List what is accepted and not finished, the oldest first", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := d.dial()
			if err != nil {
				return err
			}
			list, err := client.Queue(c.Context(), account, sender)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			return printQueue(c.OutOrStdout(), list)
		},
	}
	d.add(c)
	c.Flags().StringVarP(&account, "account", "a", "", "those of this account only")
	c.Flags().StringVar(&sender, "sender", "", "those of this sender only: a plugin, "+api.Operator+" or "+outbox.NATS)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	complete(c, "account", d.config.accounts)
	complete(c, "sender", d.config.senders)
	return c
}

// senders are whose actions there may be.
func (f *configFlags) senders(c *cobra.Command) []string {
	return append(f.plugins(c), api.Operator, outbox.NATS)
}

func printQueue(out io.Writer, list []outbox.Waiting) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no actions wait")
		return err
	}
	w, p, now := newTable(out), newPen(out), time.Now()
	fmt.Fprintln(w, p.dim("SEQ\tACCOUNT\tSENDER\tID\tTYPE\tCONVERSATION\tAGE\tDUE\tEXPIRES\tSTATE"))
	for _, q := range list {
		state := q.State
		if state != "waiting" {
			state = p.good(state)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", q.Sequence, plain(q.Account), plain(q.Sender), short(q.ID, maxColumn),
			q.Type, short(q.Conversation, maxColumn), live.Ago(now, q.Accepted), ahead(now, q.Due, "now"), ahead(now, q.Expires, "past"), state)
	}
	return w.Flush()
}

// ahead is how far off a time is; over is for what is not.
func ahead(now, t time.Time, over string) string {
	if !t.After(now) {
		return over
	}
	return "in " + live.Ago(t, now)
}

func newQueueCancel() *cobra.Command {
	var d dialFlags
	var t api.Target
	var asJSON bool
	c := &cobra.Command{
		Use: "cancel ID|SEQ", Short: "End an action that waits before it is sent", Args: exactly(1),
		Long: `End an action that is accepted and not being sent yet. It ends as action.failed,
with "cancelled by operator" as its reason, and makes no dead letter. One that
is being sent, or may have been, is not cancelled.

With --account and --sender the argument is the id that the sender gave it,
without them the sequence that ` + "`switchboard queue list`" + ` shows.`,
		Example: `  switchboard queue cancel 1042
  switchboard queue cancel order-7 --account 7 --sender operator`,
		RunE: func(c *cobra.Command, args []string) error {
			switch n, err := strconv.ParseUint(args[0], 10, 64); {
			case (t.Account == "") != (t.Sender == ""):
				return usagef("an id needs --account and --sender, both; a sequence of `switchboard queue list` needs neither")
			case t.Account != "":
				t.ID = args[0]
			case err != nil || n == 0:
				return usagef("%q is no sequence of `switchboard queue list`; an id needs --account and --sender", args[0])
			default:
				t.Sequence = n
			}
			client, err := d.dial()
			if err != nil {
				return err
			}
			is, err := client.Cancel(c.Context(), t)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(is)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "cancelled  %s\n", plain(is.ID))
			return err
		},
	}
	d.add(c)
	c.Flags().StringVarP(&t.Account, "account", "a", "", "the account")
	c.Flags().StringVar(&t.Sender, "sender", "", "whose action it is: a plugin, "+api.Operator+" or "+outbox.NATS)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	complete(c, "account", d.config.accounts)
	complete(c, "sender", d.config.senders)
	return c
}
