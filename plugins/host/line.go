package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
	"github.com/switchboard-dev/switchboard/proto/tracing"
)

// line is one connection to a configured plugin: the stream both ways, the
// feeds that write to it and the requests that come from it.
type line struct {
	spec    Spec
	parts   Parts
	limits  Limits
	log     *slog.Logger
	tracer  *tracing.Tracer
	decoded *filter.Cache
	feeds   []*feed.Feed
	asked   *requests

	deliveries chan *pluginv1.Delivery
	answers    chan *pluginv1.Answer
	live       chan event.Event
	stats      *Stats
	// complaints bounds what a plugin that keeps doing wrong adds to the log.
	complaints rate.Sometimes
	pulse      *pulse
	up         func()
}

// maxBatch bounds how many deliveries go in one message; 64 is where the gain
// flattens. batchFull, in bytes of data, keeps large ones below the largest
// message that a plugin takes: the last may come on top.
const (
	maxBatch  = 64
	batchFull = 1 << 20
)

// liveBuffer is how many typing events may wait for a slow plugin.
const liveBuffer = 64

// feedShift leaves 2^48 deliveries to each feed of a process.
const feedShift = 48

// Run describes, configures and serves one started plugin. It returns nil when
// ctx has ended and the plugin has finished what it had in hand (or its time
// for that is over), a [*Refusal] when the plugin or its configuration is not
// acceptable, and any other error when the line broke.
//
// stats may be read by others meanwhile.
func Run(ctx context.Context, client pluginv1.PluginClient, spec Spec, o Options, stats *Stats) error {
	manifest, configured, err := Configure(ctx, client, spec)
	if err != nil {
		return err
	}
	stats.described(manifest)
	return connect(ctx, client, spec, configured, o, stats, func() {})
}

// connect serves a plugin that is configured, as [Run] does. It calls up when
// the plugin is connected.
func connect(ctx context.Context, client pluginv1.PluginClient, spec Spec, configured *pluginv1.ConfigureResponse, o Options,
	stats *Stats, up func()) error {
	if o.decoded == nil {
		o.decoded = filter.NewCache()
	}
	l := &line{
		spec: spec, decoded: o.decoded, parts: o.Parts, limits: o.Limits.withDefaults(), stats: stats,
		tracer:  tracing.New(o.TracerProvider, "plugins/host"),
		log:     o.Log.With("plugin", spec.Name),
		answers: make(chan *pluginv1.Answer), live: make(chan event.Event, liveBuffer),
		complaints: rate.Sometimes{First: 10, Interval: time.Second}, pulse: newPulse(), up: up,
	}
	return l.run(ctx, client, configured.GetFeeds())
}

func (l *line) run(ctx context.Context, client pluginv1.PluginClient, declared []*pluginv1.Feed) (err error) {
	// The line outlives ctx by the time that the plugin has to finish.
	lineCtx, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	l.deliveries = make(chan *pluginv1.Delivery, len(declared)*l.limits.Window)
	l.asked = newRequests(l)
	if err := l.asked.timers.load(ctx); err != nil {
		return &ourFault{err}
	}
	for i, d := range declared {
		f, err := l.open(ctx, i, d)
		if err != nil {
			return err
		}
		defer f.Source.Close()
		l.feeds = append(l.feeds, f)
	}
	stopLive, err := l.openLive(ctx, declared)
	if err != nil {
		return &ourFault{err}
	}
	defer stopLive()

	stream, err := client.Connect(lineCtx)
	if err != nil {
		return fmt.Errorf("connect to plugin %s: %w", l.spec.Name, err)
	}
	l.stats.set(Running, "")
	l.up()

	var working sync.WaitGroup
	defer working.Wait()
	defer cut(errLineOver)
	drain, fed := make(chan struct{}), make(chan struct{})
	var feeding sync.WaitGroup
	for _, f := range l.feeds {
		feeding.Go(func() {
			if err := f.Run(lineCtx, drain); err != nil {
				cut(err)
			}
		})
	}
	working.Go(func() {
		if err := l.asked.timers.run(lineCtx, drain); err != nil {
			cut(err)
		}
	})
	feeding.Go(func() {
		select {
		case <-l.asked.timers.idle:
		case <-lineCtx.Done():
		}
	})
	working.Go(func() { feeding.Wait(); close(fed) })
	working.Go(func() {
		if err := l.pulse.watch(lineCtx, l.spec.Name); err != nil {
			cut(err)
		}
	})
	ended := make(chan struct{})
	working.Go(func() {
		defer close(ended)
		if err := l.receive(lineCtx, stream); err != nil {
			cut(err)
		}
	})
	working.Go(func() {
		if err := l.send(lineCtx, stream, drain); err != nil {
			cut(err)
		}
	})

	select {
	case <-lineCtx.Done():
		return context.Cause(lineCtx)
	case <-ctx.Done():
	}
	close(drain)
	late := time.After(l.limits.Drain)
	select {
	case <-fed:
	case <-lineCtx.Done():
		return nil
	case <-late:
		l.log.Warn("plugin did not finish in time; what it has in hand comes again", "after", l.limits.Drain)
		return nil
	}
	// It may have something of its own to finish, and asks for it; it ends the
	// line when it has.
	select {
	case <-ended:
	case <-lineCtx.Done():
	case <-late:
		l.log.Warn("plugin did not end the line in time", "after", l.limits.Drain)
	}
	return nil
}

var errLineOver = errors.New("the line is over")

// send is the only writer of the stream.
func (l *line) send(ctx context.Context, stream pluginv1.Plugin_ConnectClient, drain <-chan struct{}) error {
	for {
		var msg *pluginv1.FromHost
		select {
		case d := <-l.deliveries:
			msg = &pluginv1.FromHost{Message: &pluginv1.FromHost_Deliveries{Deliveries: l.batch(d)}}
		case d := <-l.asked.timers.deliveries:
			msg = &pluginv1.FromHost{Message: &pluginv1.FromHost_Deliveries{Deliveries: &pluginv1.Deliveries{Deliveries: []*pluginv1.Delivery{d}}}}
		case a := <-l.answers:
			msg = &pluginv1.FromHost{Message: &pluginv1.FromHost_Answer{Answer: a}}
		case e := <-l.live:
			l.stats.Live.Add(1)
			msg = &pluginv1.FromHost{Message: &pluginv1.FromHost_Live{Live: &pluginv1.Live{Event: feed.Wire(e)}}}
		case n := <-l.pulse.pings:
			msg = &pluginv1.FromHost{Message: &pluginv1.FromHost_Ping{Ping: &pluginv1.Ping{Number: n}}}
		case <-drain:
			drain = nil
			msg = &pluginv1.FromHost{Message: &pluginv1.FromHost_Drain{Drain: &pluginv1.Drain{}}}
		case <-ctx.Done():
			return nil
		}
		if err := stream.Send(msg); err != nil {
			return fmt.Errorf("write to plugin %s: %w", l.spec.Name, err)
		}
	}
}

// batch takes what is ready beside the first; it waits for nothing.
func (l *line) batch(first *pluginv1.Delivery) *pluginv1.Deliveries {
	list, size := []*pluginv1.Delivery{first}, len(first.GetEvent().GetData())
	for len(list) < maxBatch && size < batchFull {
		select {
		case d := <-l.deliveries:
			list, size = append(list, d), size+len(d.GetEvent().GetData())
			continue
		default:
		}
		break
	}
	return &pluginv1.Deliveries{Deliveries: list}
}

// receive is the only reader of the stream.
func (l *line) receive(ctx context.Context, stream pluginv1.Plugin_ConnectClient) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		l.pulse.listen()
		msg, err := stream.Recv()
		l.pulse.heard()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("plugin %s ended the line", l.spec.Name)
		}
		if err != nil {
			return fmt.Errorf("read from plugin %s: %w", l.spec.Name, err)
		}
		switch m := msg.GetMessage().(type) {
		case *pluginv1.FromPlugin_Outcomes:
			for _, out := range m.Outcomes.GetOutcomes() {
				l.settle(ctx, out)
			}
		case *pluginv1.FromPlugin_Pong:
			l.stats.health(brief(m.Pong.GetUnhealthy()))
		case *pluginv1.FromPlugin_Request:
			l.asked.take(ctx, m.Request, &asking)
		case *pluginv1.FromPlugin_Counters:
			l.stats.count(m.Counters.GetCounters())
		}
	}
}

func (l *line) settle(ctx context.Context, out *pluginv1.Outcome) {
	index := out.GetDelivery() >> feedShift
	if index == firstTimer>>feedShift {
		select {
		case l.asked.timers.outcomes <- out:
		case <-ctx.Done():
		}
		return
	}
	if index >= uint64(len(l.feeds)) {
		l.stray()
		return
	}
	l.feeds[index].Settle(ctx, out)
}

func (l *line) stray() {
	l.complaints.Do(func() { l.log.Warn("outcome of a delivery that is not under way") })
}
