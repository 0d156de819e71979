package sdktest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// parts are Switchboard around the host, in memory.
type parts struct {
	mu       sync.Mutex
	feeds    []*stream
	live     func(event.Event)
	actions  []event.Action
	taken    map[string]bool
	store    map[string][]byte
	timers   map[string]host.Timer
	sequence uint64
	// kept are the events without an outcome that ends them, by feed, in order:
	// they come again after a restart.
	kept map[string][]*delivery
	// waiting has who waits for the outcome of an event, by feed and event;
	// outcomes are all that there were, by event.
	waiting  map[string]chan Outcome
	outcomes map[string][]Outcome
	dead     map[string]string

	// What the test wants to happen; see faults.go.
	refuse        func(event.Action) error
	result        func(event.Action) (event.Type, string)
	conversations map[string]host.Conversation
}

func newParts() *parts {
	return &parts{
		store: map[string][]byte{}, timers: map[string]host.Timer{}, taken: map[string]bool{}, kept: map[string][]*delivery{},
		waiting: map[string]chan Outcome{}, outcomes: map[string][]Outcome{}, dead: map[string]string{},
	}
}

func (p *parts) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feeds, p.live = nil, nil
}

// forget lets go of the events that would come again.
func (p *parts) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.kept)
}

func (p *parts) wanting(e event.Event) []*stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*stream
	for _, f := range p.feeds {
		if slices.Contains(f.spec.Accounts, e.Account) &&
			slices.ContainsFunc(f.spec.Events, func(w event.Pattern) bool { return w.Matches(e.Type) }) {
			list = append(list, f)
		}
	}
	return list
}

// Open is [host.Feeds].
func (p *parts) Open(_ context.Context, spec feed.Spec) (feed.Source, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &stream{parts: p, spec: spec, queue: make(chan *delivery, 4096)}
	for _, d := range p.kept[spec.Feed] {
		f.queue <- d
	}
	p.feeds = append(p.feeds, f)
	return f, nil
}

// Live is [host.Feeds].
func (p *parts) Live(_ context.Context, _ feed.Spec, fn func(event.Event)) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = fn
	return func() {}, nil
}

// Act is [host.Actions].
func (p *parts) Act(_ context.Context, _ string, a event.Action) (bool, error) {
	if err := a.Check(); err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.ID != "" && p.taken[a.ID] {
		return true, nil
	}
	if p.refuse != nil {
		if err := p.refuse(a); err != nil {
			return false, err
		}
	}
	p.taken[a.ID] = true
	p.actions = append(p.actions, a)
	return false, nil
}

// Get is [host.Store].
func (p *parts) Get(_ context.Context, _, key string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.store[key]
	if !ok {
		return nil, host.ErrNotFound
	}
	return slices.Clone(v), nil
}

// Put is [host.Store].
func (p *parts) Put(_ context.Context, _, key string, value []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.store[key] = slices.Clone(value)
	return nil
}

// Delete is [host.Store].
func (p *parts) Delete(_ context.Context, _, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.store, key)
	return nil
}

// stream is a feed.Source over a channel.
type stream struct {
	parts *parts
	spec  feed.Spec
	queue chan *delivery
}

func (f *stream) push(e event.Event) <-chan Outcome {
	f.parts.mu.Lock()
	f.parts.sequence++
	d := &delivery{event: e, sequence: f.parts.sequence, parts: f.parts, feed: f.spec.Feed}
	f.parts.kept[d.feed] = append(f.parts.kept[d.feed], d)
	out := make(chan Outcome, 1)
	f.parts.waiting[f.spec.Feed+"\x00"+e.ID] = out
	f.parts.mu.Unlock()
	f.queue <- d
	return out
}

func (f *stream) Next(ctx context.Context) (feed.Delivery, error) {
	select {
	case d := <-f.queue:
		return d, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Request is of no account: there is room for all.
func (f *stream) Request(int) {}

func (f *stream) Close() {}

// delivery is a feed.Delivery.
type delivery struct {
	event    event.Event
	sequence uint64
	parts    *parts
	feed     string
}

func (d *delivery) Event() event.Event                         { return d.event }
func (d *delivery) Park()                                      {}
func (d *delivery) Fetch(context.Context) (event.Event, error) { return d.event, nil }
func (d *delivery) Sequence() uint64                           { return d.sequence }
func (d *delivery) Key() string                                { return d.event.ID }
func (d *delivery) Again() bool                                { return false }
func (d *delivery) Hold() error                                { return nil }

func (d *delivery) Ack() error {
	d.parts.mu.Lock()
	defer d.parts.mu.Unlock()
	d.parts.kept[d.feed] = slices.DeleteFunc(d.parts.kept[d.feed], func(k *delivery) bool { return k == d })
	return nil
}

func (d *delivery) Dead(_ context.Context, reason string, _ int) error {
	d.parts.mu.Lock()
	d.parts.dead[d.event.ID] = reason
	d.parts.mu.Unlock()
	return d.Ack()
}

// observed is the plugin's client with an ear on the outcomes.
type observed struct {
	pluginv1.PluginClient
	parts     *parts
	connected chan struct{}
}

func observe(c pluginv1.PluginClient, p *parts) *observed {
	return &observed{c, p, make(chan struct{})}
}

func (o *observed) Connect(ctx context.Context, opts ...grpc.CallOption) (pluginv1.Plugin_ConnectClient, error) {
	s, err := o.PluginClient.Connect(ctx, opts...)
	if err == nil {
		close(o.connected)
	}
	return &ear{Plugin_ConnectClient: s, parts: o.parts, under: map[uint64]string{}}, err
}

// ear hears which delivery is which event, and what became of it.
type ear struct {
	pluginv1.Plugin_ConnectClient
	parts *parts

	mu    sync.Mutex
	under map[uint64]string
}

func (e *ear) Send(m *pluginv1.FromHost) error {
	e.mu.Lock()
	for _, d := range m.GetDeliveries().GetDeliveries() {
		if d.GetEvent() == nil {
			continue
		}
		e.under[d.GetId()] = d.GetFeed() + "\x00" + d.GetEvent().GetId()
	}
	e.mu.Unlock()
	return e.Plugin_ConnectClient.Send(m)
}

func (e *ear) Recv() (*pluginv1.FromPlugin, error) {
	m, err := e.Plugin_ConnectClient.Recv()
	for _, out := range m.GetOutcomes().GetOutcomes() {
		e.mu.Lock()
		key := e.under[out.GetDelivery()]
		delete(e.under, out.GetDelivery())
		e.mu.Unlock()
		if key != "" {
			e.parts.tell(key, toOutcome(out))
		}
	}
	return m, err
}

// tell gives the outcome to who waits for it: the first attempt's only.
func (p *parts) tell(key string, out Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, id, _ := strings.Cut(key, "\x00")
	p.outcomes[id] = append(p.outcomes[id], out)
	if w := p.waiting[key]; w != nil {
		delete(p.waiting, key)
		w <- out
	}
}

func toOutcome(out *pluginv1.Outcome) Outcome {
	switch r := out.GetResult().(type) {
	case *pluginv1.Outcome_Ack:
		return Outcome{Result: Ack}
	case *pluginv1.Outcome_Pause:
		return Outcome{Pause, r.Pause.GetHold().AsDuration(), r.Pause.GetReason()}
	case *pluginv1.Outcome_Reject:
		return Outcome{Result: Reject, Reason: r.Reject.GetReason()}
	default:
		return Outcome{Retry, out.GetRetry().GetAfter().AsDuration(), out.GetRetry().GetReason()}
	}
}
