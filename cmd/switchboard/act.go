package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// actWait is how long --wait waits for an action's end.
const actWait = 2 * time.Minute

func newAct() *cobra.Command {
	var d dialFlags
	var a event.Action
	var content, state, at string
	var wait, asJSON bool
	types := make([]string, len(event.ActionTypes))
	for i, t := range event.ActionTypes {
		types[i] = string(t)
	}
	c := &cobra.Command{
		Use: "act TYPE", Short: "Put an action into the outbound queue", Args: exactly(1),
		ValidArgsFunction: first(func(*cobra.Command) []string { return types }),
		Long:              "Put an action into the outbound queue. TYPE is " + strings.Join(types, ", ") + ".",
		Example: `  switchboard act send_message --account 7 --conversation 42 --content 'On our way' --wait
  switchboard act update_status --account 7 --conversation 42 --status resolved`,
		RunE: func(c *cobra.Command, args []string) error {
			a.Type = event.ActionType(args[0])
			if !a.Type.Known() {
				return usagef("%q is no action: %s", args[0], config.Hint(args[0], types))
			}
			if a.Account == "" || a.Conversation == "" {
				return usagef("an action needs --account and --conversation")
			}
			if a.ID == "" {
				a.ID = strings.ToLower(rand.Text())
			}
			if err := body(&a, content, state); err != nil {
				return err
			}
			if at != "" {
				t, err := time.Parse(time.RFC3339, at)
				if err != nil {
					return usagef("--at %q is not a time as RFC 3339 has them, such as 2026-01-02T15:04:05Z", at)
				}
				a.At = t
			}
			client, err := d.dial()
			if err != nil {
				return err
			}
			bound := time.Duration(0)
			if wait {
				bound = actWait
			}
			done, err := client.Act(c.Context(), a, bound)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(done)
			}
			switch {
			case a.Type.Live():
				_, err = fmt.Fprintln(c.OutOrStdout(), "sent")
			case done.Result != nil:
				p, paint := newPen(c.OutOrStdout()), pen.good
				if done.Result.Type != event.ActionConfirmed {
					paint = pen.bad
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s  %s\n", paint(p, string(done.Result.Type)), describe(*done.Result))
				if err == nil && done.Result.Type != event.ActionConfirmed {
					err = errSaid
				}
			case done.Duplicate:
				_, err = fmt.Fprintf(c.OutOrStdout(), "accepted before  %s\n", done.ID)
			default:
				_, err = fmt.Fprintf(c.OutOrStdout(), "accepted  %s\n", done.ID)
			}
			return err
		},
	}
	d.add(c)
	c.Flags().StringVarP(&a.Account, "account", "a", "", "the account")
	c.Flags().StringVar(&a.Conversation, "conversation", "", "the conversation's id")
	c.Flags().StringVar(&content, "content", "", "send_message: the text")
	c.Flags().StringVar(&state, "status", "", "update_status: "+strings.Join(event.Statuses, ", ")+", or a number")
	c.Flags().StringVar(&a.ID, "id", "", "idempotency key: the same one is done once in 24 h (default: a new one)")
	c.Flags().StringVar(&at, "at", "", "earliest time to send it, such as 2026-01-02T15:04:05Z")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is confirmed or has failed, up to "+actWait.String())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	complete(c, "account", d.config.accounts)
	complete(c, "status", func(*cobra.Command) []string { return event.Statuses })
	return c
}

// body makes the action's body of the flags.
func body(a *event.Action, content, state string) error {
	var v any
	switch a.Type {
	case event.SendMessage:
		if content == "" {
			return usagef("send_message needs --content")
		}
		v = event.SendMessageBody{Content: content}
	case event.UpdateStatus:
		n := slices.Index(event.Statuses, state)
		if n < 0 {
			var err error
			if n, err = strconv.Atoi(state); err != nil {
				if state == "" {
					return usagef("update_status needs --status: %s", strings.Join(event.Statuses, ", "))
				}
				return usagef("update_status needs --status: %q is none: %s", state, config.Hint(state, event.Statuses))
			}
		}
		v = event.UpdateStatusBody{Status: event.Status(n)}
	default:
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the action: %w", err)
	}
	a.Body = data
	return nil
}
