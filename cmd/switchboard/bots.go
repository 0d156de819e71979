package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// botsTimeout bounds how long it is looked how the bots stand.
const botsTimeout = 500 * time.Millisecond

// busBots are the bots as NATS lets them in, by name.
func busBots(cfg *config.Config) []bus.Bot {
	var list []bus.Bot
	for _, name := range slices.Sorted(maps.Keys(cfg.Bots)) {
		b := cfg.Bots[name]
		list = append(list, bus.Bot{
			Name: name, Accounts: once(b.Accounts), Window: b.Window, Password: b.Password.Read,
			// What one pattern has, another must not have again.
			Events: event.Intersect(event.Patterns(b.Events), []event.Pattern{"*"}),
		})
	}
	return list
}

// outboxBots are the bots as senders of actions, by name.
func outboxBots(cfg *config.Config) []outbox.Bot {
	var list []outbox.Bot
	for _, name := range slices.Sorted(maps.Keys(cfg.Bots)) {
		b := cfg.Bots[name]
		is := outbox.Bot{Name: name, Accounts: once(b.Accounts), Rate: b.Rate, Burst: b.Burst}
		for _, a := range b.Actions {
			is.Actions = append(is.Actions, event.ActionType(a))
		}
		list = append(list, is)
	}
	return list
}

func once(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// operatorPassword is nil where there is none.
func operatorPassword(cfg *config.Config) func() (secret.Text, error) {
	if cfg.NATS.Password.IsZero() {
		return nil
	}
	return cfg.NATS.Password.Read
}

// botStatus is how a bot stands with its events and its actions.
type botStatus struct {
	outbox.BotStatus
	// Connections is how many it has to the embedded server; of an external one
	// it is not known, and 0.
	Connections int `json:"connections"`
	// Pulls is how many of its requests for events wait, Pending how many events
	// it was not given yet, and Unacked how many it was and has not acknowledged.
	Pulls   int    `json:"pulls"`
	Pending uint64 `json:"pending"`
	Unacked int    `json:"unacked"`
	// Problem is why it is not known how it stands; empty: it is.
	Problem string `json:"problem,omitempty"`
}

// state is how it looks from here: a bot that waits for events, or has some, is
// there.
func (s botStatus) state() string {
	switch {
	case s.Problem != "":
		return "unknown"
	case s.Connections > 0, s.Pulls > 0:
		return "connected"
	}
	return "away"
}

func (r *bridgeRun) botStatus() []botStatus {
	ctx, cancel := context.WithTimeout(context.Background(), botsTimeout)
	defer cancel()
	list := []botStatus{}
	for _, actions := range r.bots.Status() {
		s := botStatus{BotStatus: actions}
		events, err := r.bus.Bot(ctx, actions.Name)
		if err != nil {
			s.Problem = err.Error()
		}
		s.Connections, s.Pulls, s.Pending, s.Unacked = events.Connections, events.Pulls, events.Pending, events.Unacked
		list = append(list, s)
	}
	return list
}

func printBots(w io.Writer, p pen, list []botStatus) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+p.dim("BOT\tSTATE\tPENDING\tUNACKED\tACCEPTED\tREPEATED\tREFUSED\tREASON"))
	for _, b := range list {
		reason := b.Problem
		if reason == "" {
			reason = b.LastError
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", b.Name, p.state(b.state()), b.Pending, b.Unacked,
			b.Accepted, b.Duplicates, b.Refused, short(reason, 60))
	}
}
