package live

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"
)

const (
	// keptEvents is how many events are remembered: more than the tallest
	// terminal shows.
	keptEvents = 256
	// statusTimeout bounds one look at the source.
	statusTimeout = 2 * time.Second
	// batch is how many updates are drawn at once at the most.
	batch = 128
)

// model is all that is shown. Only the loop of the program touches it.
type model struct {
	ctx  context.Context
	o    Options
	keys map[string]Key

	width, height int
	now           time.Time
	status        Status
	// known says that there has been a status; trouble why there is none now.
	known   bool
	trouble string
	sampled time.Time
	series  map[string]*series
	events  []Event // oldest first
}

type (
	tickMsg   time.Time
	pollMsg   struct{}
	statusMsg struct {
		at     time.Time
		status Status
		err    error
	}
	updatesMsg []Event
	didMsg     struct {
		at   time.Time
		text string
		err  error
	}
)

func newModel(ctx context.Context, o Options) *model {
	if o.Every <= 0 {
		o.Every = time.Second
	}
	m := &model{ctx: ctx, o: o, keys: map[string]Key{}, series: map[string]*series{}, now: time.Now()}
	for _, k := range o.Keys {
		m.keys[k.Name] = k
	}
	return m
}

func (m *model) Init() tea.Cmd {
	return tea.Batch(m.look, m.listen, m.after(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }))
}

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch name := msg.String(); name {
		case "q", "ctrl+c", "esc":
			return m, tea.Quit
		default:
			if k, ok := m.keys[name]; ok {
				return m, m.do(k)
			}
		}
	case tickMsg:
		m.now = time.Time(msg)
		return m, m.after(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) })
	case pollMsg:
		return m, m.look
	case statusMsg:
		m.stands(msg)
		return m, m.after(m.o.Every, func(time.Time) tea.Msg { return pollMsg{} })
	case updatesMsg:
		for _, u := range msg {
			m.add(u)
		}
		return m, m.listen
	case didMsg:
		e := Event{Time: msg.at, Type: typeYou, Text: msg.text}
		if msg.err != nil {
			e.Type, e.Text = typeFailed, msg.err.Error()
		}
		m.add(e)
	}
	return m, nil
}

// after is a command that comes back after a while, unless the view ends.
func (m *model) after(d time.Duration, fn func(time.Time) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case t := <-timer.C:
			return fn(t)
		case <-m.ctx.Done():
			return nil
		}
	}
}

// look is a command that asks the source.
func (m *model) look() tea.Msg {
	ctx, cancel := context.WithTimeout(m.ctx, statusTimeout)
	defer cancel()
	s, err := m.o.Source.Status(ctx)
	return statusMsg{time.Now(), s, err}
}

// listen is a command that waits for updates and takes all that are there.
func (m *model) listen() tea.Msg {
	var list updatesMsg
	select {
	case u, ok := <-m.o.Source.Updates():
		if !ok {
			return nil
		}
		list = append(list, u)
	case <-m.ctx.Done():
		return nil
	}
	for len(list) < batch {
		select {
		case u := <-m.o.Source.Updates():
			list = append(list, u)
		default:
			return list
		}
	}
	return list
}

// do is a command that does what a key is for.
func (m *model) do(k Key) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, statusTimeout)
		defer cancel()
		text, err := k.Do(ctx)
		return didMsg{time.Now(), text, err}
	}
}

func (m *model) add(e Event) {
	if len(m.events) >= keptEvents {
		m.events = append(m.events[:0], m.events[len(m.events)-keptEvents+1:]...)
	}
	m.events = append(m.events, e)
}

// stands takes a status: what changed becomes lines, what grew rates.
func (m *model) stands(s statusMsg) {
	if s.err != nil {
		m.trouble = s.err.Error()
		return
	}
	m.trouble = ""
	if m.known {
		m.compare(m.status, s.status, s.at)
	}
	m.status, m.known, m.now = s.status, true, s.at
	if d := s.at.Sub(m.sampled); d >= sampleEvery-sampleSlack {
		for _, c := range s.status.Counts {
			if m.series[c.Name] == nil {
				m.series[c.Name] = &series{}
			}
			m.series[c.Name].sample(c.Total, d)
		}
		m.sampled = s.at
	}
}

// compare tells of the states that changed between two looks. What is between
// two states of a plugin that is not running yet is not worth a line.
func (m *model) compare(was, is Status, at time.Time) {
	links, plugins := map[string]Link{}, map[string]Plugin{}
	for _, l := range was.Links {
		links[l.Account] = l
	}
	for _, p := range was.Plugins {
		plugins[p.Name] = p
	}
	for _, l := range is.Links {
		old, ok := links[l.Account]
		switch {
		case ok && l.State != old.State:
			m.add(Event{Time: at, Type: typeLink, Text: fmt.Sprintf("account %s is %s%s", l.Account, l.State, because(l.Reason))})
		case ok && l.Connections > old.Connections:
			m.add(Event{Time: at, Type: typeLink, Text: fmt.Sprintf("account %s was connected anew%s", l.Account, because(l.Reason))})
		}
	}
	for _, p := range is.Plugins {
		old, ok := plugins[p.Name]
		switch {
		case ok && p.State != old.State && (p.Health != Busy || old.Health != Busy):
			m.add(Event{Time: at, Type: typePlugin, Text: fmt.Sprintf("%s is %s%s", p.Name, p.State, because(p.Reason))})
		case ok && p.Restarts > old.Restarts:
			m.add(Event{Time: at, Type: typePlugin, Text: p.Name + " was started again"})
		}
	}
	switch {
	case was.NATS.Connected && !is.NATS.Connected:
		m.add(Event{Time: at, Type: typeNATS, Text: "the connection is lost"})
	case is.NATS.Connected && is.NATS.Reconnects > was.NATS.Reconnects:
		m.add(Event{Time: at, Type: typeNATS, Text: "the connection was lost and is back"})
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
