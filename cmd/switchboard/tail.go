package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func newTail() *cobra.Command {
	var d dialFlags
	var spec api.WatchSpec
	var since sinceFlag
	var by string
	var asJSON bool
	c := &cobra.Command{
		Use: "tail", Short: "Show events as they come", Args: exactly(0),
		Example: `  switchboard tail --type 'message.*' --since 1h
  switchboard tail --account 7 --conversation 42 --since 09:30
  switchboard tail --by responder --json | jq .data.content`,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, pattern := range spec.Types {
				if err := config.CheckPattern(pattern); err != nil {
					return usagef("--type %w", err)
				}
			}
			client, err := d.dial()
			if err != nil {
				return err
			}
			if err := knownAccount(c, client, spec.Account); err != nil {
				return err
			}
			spec.Since = since.Time
			show := newLines(c.OutOrStdout()).event
			if asJSON {
				enc := json.NewEncoder(c.OutOrStdout())
				show = func(e api.Event) error { return enc.Encode(e) }
			}
			return client.Watch(c.Context(), spec, func(e api.Event) error {
				if by != "" && e.By != by {
					return nil
				}
				return show(e)
			})
		},
	}
	d.add(c)
	c.Flags().StringVarP(&spec.Account, "account", "a", "", "only this account")
	c.Flags().StringVar(&spec.Conversation, "conversation", "", "only this conversation")
	c.Flags().StringArrayVarP(&spec.Types, "type", "t", nil, "only this type, such as message.new or 'message.*'; may be repeated")
	c.Flags().StringVar(&by, "by", "", "only what an action of this plugin (or operator, for act) has caused")
	c.Flags().Var(&since, "since", "begin this far back, such as 1h, or at a time, such as 09:30; typing is not stored")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	complete(c, "account", d.config.accounts)
	complete(c, "type", func(*cobra.Command) []string { return config.Patterns() })
	complete(c, "by", func(c *cobra.Command) []string { return append(d.config.plugins(c), api.Operator) })
	return c
}

// knownAccount tells of an account that the bridge does not have. What is
// stored may have it all the same, from a time when it did.
func knownAccount(c *cobra.Command, client *api.Client, account string) error {
	if account == "" {
		return nil
	}
	var s status
	if err := client.Status(c.Context(), &s); err != nil {
		return err
	}
	var have []string
	for _, a := range s.Accounts {
		have = append(have, a.Account)
	}
	if !slices.Contains(have, account) {
		fmt.Fprintf(c.ErrOrStderr(), "switchboard: the bridge has no account %q (%s): nothing new will come of it\n",
			account, config.Hint(account, have))
	}
	return nil
}

// lines prints events, one a line.
type lines struct {
	pen     pen
	columns *columns
}

func newLines(w io.Writer) *lines {
	return &lines{newPen(w), newColumns(w, len("15:04:05.000"), len(event.ConversationUpdated), 1, 4)}
}

func (l *lines) event(e api.Event) error {
	at := e.Time.Local()
	when := at.Format("15:04:05.000")
	if now := time.Now(); at.YearDay() != now.YearDay() || at.Year() != now.Year() {
		when = at.Format("Jan _2 15:04:05.000")
	}
	kind := plain(string(e.Type))
	switch e.Type {
	case event.ActionFailed, event.ActionExpired:
		kind = l.pen.bad(kind)
	case event.ActionConfirmed:
		kind = l.pen.good(kind)
	}
	note := ""
	if e.By != "" {
		note = " (by " + plain(e.By) + ")"
	}
	if e.Replayed {
		note += " (replayed)"
	}
	return l.columns.print(l.pen.dim(when), kind, plain(e.Account), cmp.Or(plain(e.Conversation), "-"), describe(e)+l.pen.dim(note))
}

// describe says in a line what an event tells.
func describe(e api.Event) string {
	v, err := event.Event{ID: e.ID, Type: e.Type, Data: e.Data}.Decode()
	if err != nil {
		return short(string(e.Data), 100)
	}
	switch v := v.(type) {
	case event.Conversation:
		text := fmt.Sprintf("%s, %s", short(cmp.Or(v.Contact.Name, fmt.Sprint("contact ", v.Contact.ID)), 60), v.Status)
		if v.UnreadCount > 0 {
			text += fmt.Sprintf(", %d unread", v.UnreadCount)
		}
		return text
	case event.Message:
		return fmt.Sprintf("%s: %s", short(v.SenderType, 30), short(v.Content, 90))
	case event.Typing:
		return short(cmp.Or(v.UserName, fmt.Sprint("user ", v.UserID)), 90)
	case event.ActionResult:
		text := fmt.Sprintf("%s %s", v.Type, v.ID)
		if v.Reason != "" {
			text += ": " + short(v.Reason, 90)
		}
		return text
	}
	return short(string(e.Data), 100)
}
