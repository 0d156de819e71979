package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/slack/slacktest"
	"github.com/switchboard-dev/switchboard/plugins/webhook/webhooktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// summary sets what the bridge counted beside what the others counted.
type summary struct {
	Seconds float64 `json:"seconds"`
	// Events are by type.
	Events  []eventCount  `json:"events"`
	Plugins []pluginCount `json:"plugins"`
	Actions actionCount   `json:"actions"`
	// Equal says that nothing was lost, doubled or refused anywhere;
	// Differences say what was.
	Equal       bool     `json:"equal"`
	Differences []string `json:"differences"`
}

type eventCount struct {
	Type event.Type `json:"type"`
	// Backend is what it sent, by its own count; nil for a real backend.
	Backend *uint64 `json:"backend"`
	// Received is what the bridge read off the socket.
	Received uint64 `json:"received"`
	// Published is what is on the stream, by the server's count; for typing,
	// which is not stored, nil.
	Published *uint64 `json:"published"`
}

type pluginCount struct {
	Name string `json:"name"`
	// Due is how many events the stream has for it.
	Due uint64 `json:"due"`
	// Delivered is what it said it is done with.
	Delivered uint64 `json:"delivered"`
	// Receiver is what arrived at its receiver, by that one's own count; nil:
	// it has none.
	Receiver *uint64 `json:"receiver"`
	Retried  uint64  `json:"retried"`
	Dead     uint64  `json:"dead"`
	Restarts int     `json:"restarts"`
}

type actionCount struct {
	Accepted  uint64 `json:"accepted"`
	Sent      uint64 `json:"sent"`
	Confirmed uint64 `json:"confirmed"`
	Failed    uint64 `json:"failed"`
	Expired   uint64 `json:"expired"`
	// Backend is how many different actions the backend did, BackendTwice how
	// many of them more than once, by its own count; nil for a real backend.
	Backend      *uint64 `json:"backend"`
	BackendTwice *uint64 `json:"backend_twice"`
	// Typing and BackendTyping are typing actions sent and done.
	Typing        uint64  `json:"typing"`
	BackendTyping *uint64 `json:"backend_typing"`
}

// count looks everywhere at once.
func count(ctx context.Context, r *bridgeRun, w *world, account string) (*summary, error) {
	s := &summary{}
	var backend *simulator.Stats
	if w.backend != nil {
		stats, err := w.backend.Stats(account)
		if err != nil {
			return nil, err
		}
		backend = &stats
	}
	state := r.status()
	a := state.Accounts[0]

	onStream := func(p event.Pattern) (uint64, error) { return r.bus.Count(ctx, account, p) }
	for _, t := range []event.Type{event.ConversationNew, event.ConversationUpdated, event.MessageNew,
		event.MessageUpdated, event.TypingStart, event.TypingStop} {
		c := eventCount{Type: t, Received: a.Inbound.Received[t]}
		if backend != nil {
			n := uint64(backend.Events[string(t)].Heard)
			c.Backend = &n
			s.equal(string(t)+": sent by the backend and received", n, c.Received)
		}
		if !t.Live() {
			n, err := onStream(event.Pattern(t))
			if err != nil {
				return nil, err
			}
			c.Published = &n
			s.equal(string(t)+": received and on the stream", c.Received, n)
		}
		s.Events = append(s.Events, c)
	}

	for _, p := range state.Plugins {
		c, err := countPlugin(p, w, onStream)
		if err != nil {
			return nil, err
		}
		s.equal(p.Name+": due and delivered", c.Due, c.Delivered)
		if c.Receiver != nil {
			s.equal(p.Name+": delivered and at its receiver", c.Delivered, *c.Receiver)
		}
		s.equal(p.Name+": dead letters", c.Dead, 0)
		s.Plugins = append(s.Plugins, c)
	}
	s.countActions(a.Outbox.Accepted, backend)
	o := a.Outbox
	s.Actions.Accepted, s.Actions.Sent, s.Actions.Confirmed, s.Actions.Failed = o.Accepted, o.Sent, o.Confirmed, o.Failed
	s.Actions.Expired, s.Actions.Typing = o.Expired, o.Typing
	s.equal("actions: accepted and confirmed", o.Accepted, o.Confirmed)
	s.equal("actions: waiting", uint64(o.Waiting), 0)
	if backend != nil {
		s.equal("typing actions: sent and done by the backend", o.Typing, *s.Actions.BackendTyping)
	}
	s.equal("frames in quarantine", a.Inbound.Quarantined, 0)
	s.Equal = len(s.Differences) == 0
	return s, nil
}

func (s *summary) equal(what string, x, y uint64) {
	if x != y {
		s.Differences = append(s.Differences, fmt.Sprintf("%s: %d and %d", what, x, y))
	}
}

func (s *summary) countActions(accepted uint64, backend *simulator.Stats) {
	if backend == nil {
		return
	}
	done, twice := uint64(len(backend.Refs)), uint64(len(backend.Doubles()))
	typing := uint64(backend.Actions[string(event.StartTyping)] + backend.Actions[string(event.StopTyping)])
	s.Actions.Backend, s.Actions.BackendTwice, s.Actions.BackendTyping = &done, &twice, &typing
	s.equal("actions: accepted and done by the backend", accepted, done)
	s.equal("actions done twice by the backend", twice, 0)
}

// countPlugin knows what each of the demo's plugins should have had.
func countPlugin(p host.Status, w *world, onStream func(event.Pattern) (uint64, error)) (pluginCount, error) {
	c := pluginCount{Name: p.Name, Restarts: p.Restarts}
	for _, f := range p.Feeds {
		c.Delivered, c.Retried, c.Dead = c.Delivered+f.Acked, c.Retried+f.Retried, c.Dead+f.Dead
	}
	var due []event.Pattern
	switch p.Name {
	case "forwarder":
		due = []event.Pattern{"*"}
		c.Receiver = received(w.webhooks.Stats())
	case "notifier":
		due = []event.Pattern{event.Pattern(event.ConversationNew), event.Pattern(event.MessageNew)}
		c.Receiver = posted(w.slack.Stats())
	case "responder":
		// Its own echoes are on the stream and do not come to it.
		due = []event.Pattern{event.Pattern(event.MessageNew)}
	}
	for _, pattern := range due {
		n, err := onStream(pattern)
		if err != nil {
			return c, err
		}
		c.Due += n
	}
	if p.Name == "responder" {
		c.Due -= p.Echoes
	}
	return c, nil
}

func received(s webhooktest.Stats) *uint64 {
	n := uint64(s.Events)
	return &n
}

func posted(s slacktest.Stats) *uint64 {
	n := uint64(s.Threads + s.Replies)
	return &n
}

func (s *summary) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	number := func(n *uint64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	fmt.Fprintf(w, "\n%-20s\tBACKEND\tBRIDGE\tSTREAM\t\n", "EVENTS")
	for _, e := range s.Events {
		fmt.Fprintf(w, "%-20s\t%s\t%d\t%s\t\n", e.Type, number(e.Backend), e.Received, number(e.Published))
	}
	fmt.Fprintf(w, "\n%-20s\tDUE\tDELIVERED\tRECEIVER\tRETRIED\tDEAD\tRESTARTS\t\n", "PLUGINS")
	for _, p := range s.Plugins {
		fmt.Fprintf(w, "%-20s\t%d\t%d\t%s\t%d\t%d\t%d\t\n", p.Name, p.Due, p.Delivered, number(p.Receiver), p.Retried, p.Dead, p.Restarts)
	}
	a := s.Actions
	fmt.Fprintf(w, "\n%-20s\tACCEPTED\tSENT\tCONFIRMED\tFAILED\tBACKEND\tTWICE\t\n", "ACTIONS")
	fmt.Fprintf(w, "queued              \t%d\t%d\t%d\t%d\t%s\t%s\t\n", a.Accepted, a.Sent, a.Confirmed, a.Failed+a.Expired, number(a.Backend), number(a.BackendTwice))
	fmt.Fprintf(w, "typing              \t\t%d\t\t\t%s\t\t\n", a.Typing, number(a.BackendTyping))
	_ = w.Flush() // it is the terminal's
	if s.Equal {
		fmt.Fprintf(out, "\nin %.0f s nothing was lost and nothing was done twice\n", s.Seconds)
		return
	}
	fmt.Fprintln(out)
	for _, d := range s.Differences {
		fmt.Fprintln(out, "DIFFERENT  "+d)
	}
}
