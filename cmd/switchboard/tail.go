package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func newTail() *cobra.Command {
	var d dialFlags
	var spec api.WatchSpec
	var since time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use: "tail", Short: "Show events as they come", Args: exactly(0),
		Example: `  switchboard tail --type 'message.*' --since 1h
  switchboard tail --conversation 42 --json | jq .data.content`,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := d.dial()
			if err != nil {
				return err
			}
			if since > 0 {
				spec.Since = time.Now().Add(-since)
			}
			show := func(e api.Event) error { return printEvent(c.OutOrStdout(), e) }
			if asJSON {
				enc := json.NewEncoder(c.OutOrStdout())
				show = func(e api.Event) error { return enc.Encode(e) }
			}
			return client.Watch(c.Context(), spec, show)
		},
	}
	d.add(c)
	c.Flags().StringVarP(&spec.Account, "account", "a", "", "only this account")
	c.Flags().StringVar(&spec.Conversation, "conversation", "", "only this conversation")
	c.Flags().StringArrayVarP(&spec.Types, "type", "t", nil, "only this type, such as message.new or 'message.*'; may be repeated")
	c.Flags().DurationVar(&since, "since", 0, "begin this far back, such as 1h; typing is not stored")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return c
}

func printEvent(w io.Writer, e api.Event) error {
	by := ""
	if e.By != "" {
		by = " (by " + e.By + ")"
	}
	if e.Replayed {
		by += " (replayed)"
	}
	_, err := fmt.Fprintf(w, "%s  %-20s  %s/%-6s  %s%s\n", e.Time.Local().Format("15:04:05.000"), e.Type,
		e.Account, cmp.Or(e.Conversation, "-"), describe(e), by)
	return err
}

// describe says in a line what an event tells.
func describe(e api.Event) string {
	v, err := event.Event{ID: e.ID, Type: e.Type, Data: e.Data}.Decode()
	if err != nil {
		return short(string(e.Data), 100)
	}
	switch v := v.(type) {
	case event.Conversation:
		text := fmt.Sprintf("%s, %s", cmp.Or(v.Contact.Name, fmt.Sprint("contact ", v.Contact.ID)), v.Status)
		if v.UnreadCount > 0 {
			text += fmt.Sprintf(", %d unread", v.UnreadCount)
		}
		return text
	case event.Message:
		return fmt.Sprintf("%s: %s", v.SenderType, short(v.Content, 90))
	case event.Typing:
		return cmp.Or(v.UserName, fmt.Sprint("user ", v.UserID))
	case event.ActionResult:
		text := fmt.Sprintf("%s %s", v.Type, v.ID)
		if v.Reason != "" {
			text += ": " + short(v.Reason, 90)
		}
		return text
	}
	return short(string(e.Data), 100)
}
