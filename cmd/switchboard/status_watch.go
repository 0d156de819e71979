package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/charmbracelet/x/term"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// onTerminal reports whether w is a terminal on which lines can be drawn over.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

// keyboard is in where it is one, and nil where nobody can press a key, as in
// `switchboard demo </dev/null`.
func keyboard(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok && term.IsTerminal(f.Fd()) {
		return in
	}
	return nil
}

// watchStatus shows a running bridge until the user has seen enough, or the
// bridge ends.
func watchStatus(ctx context.Context, client *api.Client, in io.Reader, out io.Writer) error {
	if !onTerminal(out) {
		return usagef("status --watch draws on a terminal, which the output is not; see `switchboard status --json` and `switchboard tail`")
	}
	// It is found out here, and not by an empty view, that no bridge is there.
	if err := client.Status(ctx, &status{}); err != nil {
		return err
	}
	source := &remote{client: client, updates: make(chan live.Event, updatesHeld)}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := client.Watch(ctx, api.WatchSpec{}, newTeller(ctx, source.updates).event); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	group.Go(func() error {
		return cmp.Or(live.Run(ctx, live.Options{Source: source, In: keyboard(in), Out: out}), errSeen)
	})
	if err := group.Wait(); !errors.Is(err, errSeen) {
		return err
	}
	return nil
}

// errSeen ends what went on beside a view.
var errSeen = errors.New("the view was left")

// updatesHeld is how many updates wait for the view: it draws thirty times a
// second.
const updatesHeld = 1024

// remote is a bridge that is reached over its API.
type remote struct {
	client  *api.Client
	updates chan live.Event
}

var _ live.Source = (*remote)(nil)

func (r *remote) Updates() <-chan live.Event { return r.updates }

func (r *remote) Status(ctx context.Context) (live.Status, error) {
	var s status
	if err := r.client.Status(ctx, &s); err != nil {
		return live.Status{}, err
	}
	v := s.live()
	v.Title, v.Ends = "version "+s.Version+", "+s.DataDir, []string{"BRIDGE", "STREAM"}
	v.Counts = s.counts()
	return v, nil
}

// live is the part of the view that does not depend on who looks.
func (s status) live() live.Status {
	v := live.Status{Since: s.Since, NATS: live.NATS{
		Connected: s.NATS.Connected, Where: cmp.Or(s.NATS.Address, "no port"), Reconnects: s.NATS.Reconnects,
	}}
	if s.NATS.Embedded {
		v.NATS.Where = "embedded, " + v.NATS.Where
	}
	for _, a := range s.Accounts {
		health := map[link.State]live.Health{link.Connected: live.Good, link.Connecting: live.Busy}
		h, ok := health[a.Link.State]
		if !ok {
			h = live.Bad
		}
		v.Links = append(v.Links, live.Link{
			Account: a.Account, State: string(a.Link.State), Reason: a.Link.Reason, Health: h, Since: a.Link.Since,
			Connections: a.Link.Connections, Waiting: uint64(max(0, a.Outbox.Waiting)), Failed: a.Outbox.Failed + a.Outbox.Expired,
		})
	}
	for _, p := range s.Plugins {
		v.Plugins = append(v.Plugins, livePlugin(p))
	}
	return v
}

func livePlugin(p host.Status) live.Plugin {
	v := live.Plugin{
		Name: p.Name, State: string(p.State), Reason: p.Reason, Since: p.Since, PID: p.PID, Restarts: p.Restarts, Actions: p.Accepted,
	}
	switch p.State {
	case host.Running:
		v.Health = live.Good
	case host.Refused, host.CrashLooping:
		v.Health = live.Bad
	default:
		v.Health = live.Busy
	}
	for _, f := range p.Feeds {
		v.Delivered, v.Held = v.Delivered+f.Acked, v.Held+uint64(max(0, f.Held))
		v.Retried, v.Dead = v.Retried+f.Retried, v.Dead+f.Dead
		v.Reason = cmp.Or(v.Reason, f.LastError)
	}
	return v
}

// counts are what the bridge counted of all accounts together. The stream's
// side is what it stored, and for actions what came back over it.
func (s status) counts() []live.Count {
	types := []event.Type{event.ConversationNew, event.ConversationUpdated, event.MessageNew, event.MessageUpdated, event.TypingStart, event.TypingStop}
	received := map[event.Type]uint64{}
	var published, accepted, confirmed uint64
	for _, a := range s.Accounts {
		for t, n := range a.Inbound.Received {
			if !slices.Contains(types, t) {
				t = "other"
			}
			received[t] += n
		}
		published += a.Inbound.Published
		accepted += a.Outbox.Accepted
		confirmed += a.Outbox.Confirmed
	}
	var list []live.Count
	row := func(name string, bridge uint64, stream *uint64) {
		list = append(list, live.Count{Name: name, Cells: []*uint64{&bridge, stream}, Total: bridge})
	}
	stored := received["other"]
	for _, t := range types {
		if !t.Live() {
			row(string(t), received[t], nil)
			stored += received[t]
		}
	}
	row("all that is stored", stored, &published)
	row("typing", received[event.TypingStart]+received[event.TypingStop], nil)
	row("actions", accepted, &confirmed)
	return list
}

// teller makes lines of the view of events. One goroutine calls it.
type teller struct {
	ctx     context.Context
	updates chan<- live.Event
	story   *narrator
}

func newTeller(ctx context.Context, updates chan<- live.Event) *teller {
	return &teller{ctx, updates, newNarrator(nil)}
}

// event passes an event on. Typing is left out: it is most of what happens and
// tells least, and its rate is among the counts.
func (t *teller) event(e api.Event) error {
	text := t.story.tell(e)
	if text == "" || e.Type.Live() {
		return nil
	}
	if e.Replayed {
		text += " (replayed)"
	}
	line := live.Event{
		Time: e.Time, ID: e.ID, Type: string(e.Type), Conversation: e.Conversation, Text: text,
		Answer: e.By != "" && strings.HasPrefix(string(e.Type), "message."),
	}
	select {
	case t.updates <- line:
		return nil
	case <-t.ctx.Done():
		return fmt.Errorf("show an event: %w", context.Cause(t.ctx))
	}
}
