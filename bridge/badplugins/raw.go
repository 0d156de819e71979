package badplugins

import (
	"context"
	"fmt"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// The bad plugins that speak the protocol as no SDK would.

// raw is one of them: it has one feed, writes down each event, and answers
// pings, so that it is not for its silence that it is noticed.
type raw struct {
	pluginv1.UnimplementedPluginServer
	notes *notebook
	// deliver says what to answer to a delivery; nil: nothing.
	deliver func(*line, *pluginv1.Delivery) *pluginv1.Outcome
	// answered hears of each answer; may be nil.
	answered func(*pluginv1.Answer)
	// endless: it does not end the line when it is asked to.
	endless bool
}

// line is the raw plugin's end of the stream. It is safe for concurrent use.
type line struct {
	pluginv1.Plugin_ConnectServer
	mu sync.Mutex
}

func (l *line) say(m *pluginv1.FromPlugin) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Send(m)
}

func (*raw) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	return &pluginv1.Manifest{
		Name: "raw", Version: "1.0.0", Events: []string{"*"}, Actions: []string{string(event.SendMessage)}, Protocols: []uint32{pluginv1.Version},
	}, nil
}

func (*raw) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{Feeds: []*pluginv1.Feed{{Name: "default", Events: []string{"*"}}}}, nil
}

func (p *raw) Connect(s pluginv1.Plugin_ConnectServer) error {
	l := &line{Plugin_ConnectServer: s}
	for {
		m, err := l.Recv()
		if err != nil {
			return nil
		}
		if ping := m.GetPing(); ping != nil {
			err = l.say(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: &pluginv1.Pong{Number: ping.GetNumber()}}})
		}
		for _, d := range m.GetDeliveries().GetDeliveries() {
			p.notes.write(ofEvent(gotEvent, d.GetEvent().ToEvent()))
			if out := p.deliver(l, d); out != nil {
				err = l.say(outcomes(out))
			}
		}
		if m.GetAnswer() != nil && p.answered != nil {
			p.answered(m.GetAnswer())
		}
		if err != nil || m.GetDrain() != nil && !p.endless {
			return err
		}
	}
}

func outcomes(list ...*pluginv1.Outcome) *pluginv1.FromPlugin {
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Outcomes{Outcomes: &pluginv1.Outcomes{Outcomes: list}}}
}

func acked(d *pluginv1.Delivery) *pluginv1.Outcome {
	return &pluginv1.Outcome{Delivery: d.GetId(), Result: &pluginv1.Outcome_Ack{Ack: &pluginv1.Ack{}}}
}

// serveRaw serves it by that version of the protocol.
func serveRaw(p *raw, version int) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  pluginv1.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{version: {pluginv1.Name: &pluginv1.Adapter{Impl: p}}},
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}

func playOtherVersion(dir string) { serveRaw(&raw{notes: openNotebook(dir, bad)}, 99) }

// flood is how many actions a second the flooding plugin sends.
const flood = 10_000

func playFlood(dir string) {
	n := openNotebook(dir, bad)
	var begin sync.Once
	var last atomic.Pointer[pluginv1.Event] // the flood goes where the load is
	seen := map[pluginv1.Error_Code]bool{}
	serveRaw(&raw{
		notes: n,
		deliver: func(l *line, d *pluginv1.Delivery) *pluginv1.Outcome {
			if d.GetEvent().GetConversation() != "" {
				last.Store(d.GetEvent())
				begin.Do(func() {
					harm(n, d.GetEvent().ToEvent())
					go floodWith(l, &last)
				})
			}
			return acked(d)
		},
		answered: func(a *pluginv1.Answer) {
			if code := a.GetError().GetCode(); !seen[code] {
				seen[code] = true
				n.write(record{Kind: answeredBy, ID: code.String(), Text: a.GetError().GetMessage()})
			}
		},
	}, pluginv1.Version)
}

// floodWith sends actions at that rate, or as fast as they are taken, until the
// line breaks.
func floodWith(l *line, last *atomic.Pointer[pluginv1.Event]) {
	const burst = 50
	id := uint64(0)
	for range time.Tick(burst * time.Second / flood) {
		for range burst {
			id++
			e := last.Load()
			a := &pluginv1.Action{
				Id: fmt.Sprintf("flood-%d", id), Type: string(event.SendMessage), Account: e.GetAccount(), Conversation: e.GetConversation(),
				Body: fmt.Appendf(nil, `{"content":"flood %d"}`, id),
			}
			request := &pluginv1.Request{Id: id, Request: &pluginv1.Request_Act{Act: a}}
			if l.say(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: request}}) != nil {
				return
			}
		}
	}
}

// huge is more than any message may have, in bytes.
const huge = 100 << 20

func playHuge(dir string) {
	n := openNotebook(dir, bad)
	count := 0
	serveRaw(&raw{notes: n, deliver: func(l *line, d *pluginv1.Delivery) *pluginv1.Outcome {
		if count++; count == at {
			harm(n, d.GetEvent().ToEvent())
			put := &pluginv1.Request_Put{Put: &pluginv1.Put{Key: "huge", Value: make([]byte, huge)}}
			_ = l.say(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: &pluginv1.Request{Request: put}}}) // the line breaks
		}
		return acked(d)
	}}, pluginv1.Version)
}

// playStubborn keeps one event and hears of no end.
func playStubborn(dir string) {
	signal.Ignore(syscall.SIGTERM)
	n := openNotebook(dir, bad)
	count := 0
	serveRaw(&raw{notes: n, endless: true, deliver: func(_ *line, d *pluginv1.Delivery) *pluginv1.Outcome {
		if count++; count == at {
			harm(n, d.GetEvent().ToEvent())
			return nil
		}
		return acked(d)
	}}, pluginv1.Version)
	forever()
}
