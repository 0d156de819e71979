package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/slack/slacktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// counter looks at everything from outside of the bridge.
type counter struct {
	account string
	world   *world
	client  *api.Client
	feed    *demoFeed
	bridge  *ownBridge
}

// count looks everywhere at once; closely: also at what each message and each
// conversation has become, which takes longer.
func (c *counter) count(ctx context.Context, closely bool) (*summary, *status, error) {
	var now status
	if err := c.client.Status(ctx, &now); err != nil {
		return nil, nil, err
	}
	if len(now.Accounts) != 1 {
		return nil, nil, fmt.Errorf("count: the bridge tells of %d accounts", len(now.Accounts))
	}
	var backend *simulator.Stats
	var holds *simulator.Snapshot
	if c.world.backend != nil {
		stats, err := c.world.backend.Stats(c.account)
		if err != nil {
			return nil, nil, err
		}
		backend = &stats
		if closely {
			snapshot, err := c.world.backend.Snapshot(c.account)
			if err != nil {
				return nil, nil, err
			}
			holds = &snapshot
		}
	}
	s := &summary{Restarts: c.bridge.restarts()}
	c.feed.look(func(t *told) {
		a := now.Accounts[0]
		// Nothing was broken: whatever was said was heard, and told as it was.
		s.Calm = s.Restarts == 0 && a.Link.Connections <= 1 && t.replayed == 0
		s.countEvents(a, t, backend)
		if holds != nil {
			s.countStates(t, *holds)
		}
		for _, p := range now.Plugins {
			s.Plugins = append(s.Plugins, s.countPlugin(p, c.world, t))
		}
		s.countActions(a, t, backend, holds)
		s.equal("events more than once on the stream", t.twice, 0)
		s.equal("frames in quarantine", a.Inbound.Quarantined, 0)
	})
	s.Equal = len(s.Differences) == 0
	return s, &now, nil
}

func (s *summary) equal(what string, x, y uint64) {
	if x != y {
		s.Differences = append(s.Differences, fmt.Sprintf("%s: %d and %d", what, x, y))
	}
}

// countEvents compares the numbers of events. What changes a message or a
// conversation again while nobody hears it is told once, so where something was
// broken only what is new is counted, and the rest is up to countStates.
func (s *summary) countEvents(a bridge.Status, t *told, backend *simulator.Stats) {
	for _, kind := range []event.Type{event.ConversationNew, event.ConversationUpdated, event.MessageNew,
		event.MessageUpdated, event.TypingStart, event.TypingStop} {
		c := eventCount{Type: kind, Received: a.Inbound.Received[kind]}
		isNew := kind == event.ConversationNew || kind == event.MessageNew
		if backend != nil {
			n := uint64(backend.Events[string(kind)].Total)
			c.Backend = &n
			if s.Calm {
				s.equal(string(kind)+": sent by the backend and received", n, c.Received)
			}
		}
		if !kind.Live() {
			n := t.types[kind]
			c.Published = &n
			if s.Calm {
				s.equal(string(kind)+": received and on the stream", c.Received, n)
			}
			if c.Backend != nil && isNew {
				s.equal(string(kind)+": made by the backend and on the stream", *c.Backend, n)
			}
		}
		s.Events = append(s.Events, c)
	}
}

// countStates compares what messages and conversations have become with what
// the stream tells last of each.
func (s *summary) countStates(t *told, holds simulator.Snapshot) {
	messages := stateCount{Name: "messages", Backend: uint64(len(holds.Messages))}
	for _, m := range holds.Messages {
		if last, ok := t.messages[m.ID]; ok && last.Content == m.Content {
			messages.Stream++
		}
	}
	conversations := stateCount{Name: "conversations", Backend: uint64(len(holds.Conversations))}
	for _, c := range holds.Conversations {
		if last, ok := t.conversations[c.ID]; ok && last.Status == c.Status && slices.Equal(last.Labels, c.Labels) {
			conversations.Stream++
		}
	}
	s.States = []stateCount{messages, conversations}
	for _, c := range s.States {
		s.equal(c.Name+": at the backend, and told last as they are there", c.Backend, c.Stream)
	}
}

// countPlugin knows what each of the demo's plugins should have done.
func (s *summary) countPlugin(p host.Status, w *world, t *told) pluginCount {
	c := pluginCount{Name: p.Name, Restarts: p.Restarts}
	var acked, held uint64
	for _, f := range p.Feeds {
		acked, held = acked+f.Acked, held+uint64(max(0, f.Held))
		c.Retried, c.Dead = c.Retried+f.Retried, c.Dead+f.Dead
	}
	switch p.Name {
	case forwarder:
		stats := w.webhooks.Stats()
		n := uint64(stats.Events)
		c.Due, c.Delivered, c.Receiver, c.Again = uint64(len(t.ids)), w.hooked.have(t.ids), &n, uint64(stats.Duplicates)
	case notifier:
		posts, all := posts(w.slack), uint64(0)
		for conversation, due := range t.noticed {
			c.Due += due
			c.Delivered += min(due, posts[conversation])
			all += posts[conversation]
			c.Again += posts[conversation] - min(due, posts[conversation])
		}
		c.Receiver = &all
	case responder:
		for conversation := range t.asked {
			c.Due++
			if t.answered[conversation] {
				c.Delivered++
			}
		}
		if s.Restarts == 0 {
			s.equal(p.Name+": messages on the stream, and those it is done with", t.fresh, acked)
		}
	}
	s.equal(p.Name+": due and delivered", c.Due, c.Delivered)
	s.equal(p.Name+": under way", held, 0)
	s.equal(p.Name+": dead letters", c.Dead, 0)
	if s.Calm && p.Restarts == 0 {
		s.equal(p.Name+": delivered again", c.Again, 0)
	}
	return c
}

// titled finds the conversation that a thread of the notifier is about.
var titled = regexp.MustCompile(`^\*Conversation (\S+)\*`)

// posts are how many messages there are about each conversation.
func posts(slack *slacktest.Server) map[string]uint64 {
	count := map[string]uint64{}
	for _, m := range slack.Messages("#support") {
		if title := titled.FindStringSubmatch(m.Text); title != nil {
			count[title[1]] += 1 + uint64(len(m.Replies))
		}
	}
	return count
}

// countActions compares what was done with what the stream tells of it. What
// the bridge itself counted begins anew with it.
func (s *summary) countActions(a bridge.Status, t *told, backend *simulator.Stats, holds *simulator.Snapshot) {
	o, c := a.Outbox, &s.Actions
	c.Accepted, c.Sent, c.Typing = o.Accepted, o.Sent, o.Typing
	for ref, r := range t.results {
		switch r.end {
		case event.ActionConfirmed:
			c.Confirmed++
			// A mark_as_read that waited behind another one is done with it.
			if backend != nil && backend.Refs[ref] == 0 && r.action == event.MarkAsRead {
				c.Covered++
			}
		case event.ActionFailed:
			c.Failed++
		case event.ActionExpired:
			c.Expired++
		}
	}
	s.equal("actions: failed or expired", c.Failed+c.Expired, 0)
	s.equal("actions: waiting", uint64(o.Waiting), 0)
	if s.Restarts == 0 {
		s.equal("actions: accepted and confirmed", o.Accepted, c.Confirmed)
	}
	if backend == nil {
		return
	}
	done := uint64(len(backend.Refs))
	typing := uint64(backend.Actions[string(event.StartTyping)] + backend.Actions[string(event.StopTyping)])
	c.Backend, c.BackendTyping = &done, &typing
	s.equal("actions: confirmed and done by the backend", c.Confirmed, done+c.Covered)
	if s.Calm {
		s.equal("typing actions: sent and done by the backend", o.Typing, typing)
	}
	twice := uint64(len(backend.Doubles()))
	if holds != nil {
		twice = doneTwice(holds.Done)
	}
	c.BackendTwice = &twice
	s.equal("actions done twice by the backend", twice, 0)
}

// doneTwice is how many actions were done more than once, but for mark_as_read,
// which done twice is done once.
func doneTwice(list []simulator.Done) (n uint64) {
	times := map[string]int{}
	for _, d := range list {
		if d.Ref == "" || d.Type == event.MarkAsRead {
			continue
		}
		if times[d.Ref]++; times[d.Ref] == 2 {
			n++
		}
	}
	return n
}
