package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/config"
)

// A bridge that ends while it is asked is waited for.
const (
	bridgeBack      = 30 * time.Second
	bridgeBackEvery = 250 * time.Millisecond
)

func newReplay() *cobra.Command {
	var d dialFlags
	var ask api.Replay
	var since, until sinceFlag
	var resume string
	var waiting, cancel, asJSON bool
	c := &cobra.Command{
		Use: "replay", Short: "Give a plugin stored events once more", Args: exactly(0),
		Long: `Give a plugin once more what its feeds select of the events that are stored.

They are put on disk first, in a queue of their own, and delivered from there in
order per conversation, beside what is new, now or when the plugin runs again.
Each has the retries and dead letters that any event has. To the plugin they are
marked, and have a key that no delivery before had (the webhook-id of the webhook
plugin), while the ids of its actions stay: it does not answer twice within
24 h. Other plugins see nothing of it.

What a feed's own filter leaves out is counted, and not delivered. When the
command is cut off, --resume with the id that it tells goes on where it was.

--waiting shows what is not delivered yet, dead letters that were replayed
included, and --cancel removes it.`,
		Example: `  switchboard replay --plugin forwarder --since 2h --dry-run
  switchboard replay --plugin forwarder --since 09:00 --until 10:30 --type message.new
  switchboard replay --plugin forwarder --cancel`,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case ask.Plugin == "":
				return usagef("replay needs --plugin, the name of the plugin that is given the events")
			case waiting && cancel:
				return usagef("replay takes --waiting or --cancel, not both")
			case (waiting || cancel) && (!since.IsZero() || !until.IsZero() || len(ask.Types) > 0 || ask.DryRun || resume != ""):
				return usagef("--waiting and --cancel take --feed, --account and --conversation alone")
			case !waiting && !cancel && since.IsZero():
				return usagef("replay needs --since: how far back to begin, such as 2h, or a time, such as 09:30")
			case !until.IsZero() && !until.After(since.Time):
				return usagef("--until is not after --since")
			}
			for _, pattern := range ask.Types {
				if err := config.CheckPattern(pattern); err != nil {
					return usagef("--type %w", err)
				}
			}
			client, err := d.dial()
			if err != nil {
				return err
			}
			switch {
			case waiting:
				return ofReplays(c, client.WaitingReplays, ask, asJSON, "wait to go to")
			case cancel:
				return ofReplays(c, client.DropReplay, ask, asJSON, "do not go to")
			}
			ask.Since, ask.Until = since.Time, until.Time
			ask.ID, ask.Resume = resume, resume != ""
			if !ask.Resume {
				ask.ID = strings.ToLower(rand.Text()[:10])
			}
			return replay(c, client, ask, asJSON)
		},
	}
	d.add(c)
	c.Flags().StringVar(&ask.Plugin, "plugin", "", "the plugin that is given the events")
	c.Flags().StringVar(&ask.Feed, "feed", "", "only by this feed of it")
	c.Flags().Var(&since, "since", "begin this far back, such as 2h, or at a time, such as 09:30")
	c.Flags().Var(&until, "until", "end this far back, or at a time; left out: now")
	c.Flags().StringVarP(&ask.Account, "account", "a", "", "only events of this account")
	c.Flags().StringVar(&ask.Conversation, "conversation", "", "only events of this conversation")
	c.Flags().StringArrayVarP(&ask.Types, "type", "t", nil, "only events of this type, such as message.new or 'message.*'; may be repeated")
	c.Flags().BoolVar(&ask.DryRun, "dry-run", false, "count the events, and do nothing")
	c.Flags().StringVar(&resume, "resume", "", "go on with the replay of this id, which was cut off; the other flags as they were")
	c.Flags().BoolVar(&waiting, "waiting", false, "show what is not delivered yet")
	c.Flags().BoolVar(&cancel, "cancel", false, "remove what is not delivered yet")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	complete(c, "plugin", d.config.plugins)
	complete(c, "account", d.config.accounts)
	complete(c, "type", func(*cobra.Command) []string { return config.Patterns() })
	return c
}

// replay asks for it, and shows on a terminal how far it is. A bridge that ends
// meanwhile is asked again when it is back: then it goes on.
func replay(c *cobra.Command, client *api.Client, ask api.Replay, asJSON bool) error {
	line := newProgress(c.ErrOrStderr())
	var feeds []bus.ReplayedFeed
	var err error
	begun, deadline := false, time.Time{}
	for {
		var got []bus.ReplayedFeed
		got, err = client.Replay(c.Context(), ask, func(f []bus.ReplayedFeed) {
			begun, deadline = true, time.Time{}
			line.show(func() string { return fmt.Sprintf("%d of %d events are taken", taken(f), selected(f)) })
		})
		if got != nil {
			feeds = got
		}
		if !begun || !errors.Is(err, api.ErrCutOff) && !errors.Is(err, api.ErrNotRunning) {
			break
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(bridgeBack)
		}
		if time.Now().After(deadline) || !wait(c.Context(), bridgeBackEvery) {
			break
		}
	}
	line.clear()
	if err != nil {
		if len(feeds) > 0 && !ask.DryRun {
			err = fmt.Errorf("%w: %d of %d events are taken; to go on, say the same and --resume %s", err, taken(feeds), selected(feeds), ask.ID)
		}
		return err
	}
	if asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(struct {
			ID     string             `json:"id"`
			Plugin string             `json:"plugin"`
			DryRun bool               `json:"dry_run"`
			Feeds  []bus.ReplayedFeed `json:"feeds"`
		}{ask.ID, ask.Plugin, ask.DryRun, feeds})
	}
	text := "%d events go to feed %s once more\n"
	if ask.DryRun {
		text = "%d events would go to feed %s once more\n"
	}
	for _, f := range feeds {
		if _, err := fmt.Fprintf(c.OutOrStdout(), text, f.Events, plain(f.Feed)); err != nil {
			return err
		}
	}
	return nil
}

// ofReplays shows the feeds that do returns.
func ofReplays(c *cobra.Command, do func(ctx context.Context, plugin, feed, account, conversation string) ([]bus.WaitingFeed, error),
	ask api.Replay, asJSON bool, what string) error {
	list, err := do(c.Context(), ask.Plugin, ask.Feed, ask.Account, ask.Conversation)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(c.OutOrStdout()).Encode(list)
	}
	for _, f := range list {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%d events %s feed %s once more\n", f.Waiting, what, plain(f.Feed)); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(c.OutOrStdout(), "nothing waits")
	}
	return err
}

func taken(feeds []bus.ReplayedFeed) (n uint64) {
	for _, f := range feeds {
		n += f.Taken
	}
	return n
}

func selected(feeds []bus.ReplayedFeed) (n uint64) {
	for _, f := range feeds {
		n += f.Events
	}
	return n
}

// wait reports whether ctx lasted as long.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// progress is a line on a terminal that is written over. Elsewhere it is
// nothing.
type progress struct {
	out   io.Writer
	on    bool
	shown time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, on: isTerminal(out)} }

func (p *progress) show(text func() string) {
	if now := time.Now(); p.on && now.Sub(p.shown) > 100*time.Millisecond {
		p.shown = now
		fmt.Fprint(p.out, "\r\x1b[K"+text())
	}
}

func (p *progress) clear() {
	if p.on && !p.shown.IsZero() {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
