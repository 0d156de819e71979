package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// endless gives an event of one of many conversations after the other.
type endless struct {
	events []event.Event
	n      uint64
	acked  chan struct{}
	most   uint64
}

func (s *endless) Next(ctx context.Context) (feed.Delivery, error) {
	if s.n == s.most {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	s.n++
	return &endlessDelivery{s.events[s.n%uint64(len(s.events))], s.n, s}, nil
}

func (s *endless) Request(int) {}
func (s *endless) Close()      {}

type endlessDelivery struct {
	event event.Event
	n     uint64
	s     *endless
}

func (d *endlessDelivery) Event() event.Event                         { return d.event }
func (d *endlessDelivery) Park()                                      {}
func (d *endlessDelivery) Fetch(context.Context) (event.Event, error) { return d.event, nil }
func (d *endlessDelivery) Sequence() uint64                           { return d.n }
func (d *endlessDelivery) Key() string                                { return d.event.ID }
func (d *endlessDelivery) Again() bool                                { return false }
func (d *endlessDelivery) Ack() error                                 { d.s.acked <- struct{}{}; return nil }
func (d *endlessDelivery) Hold() error                                { return nil }
func (d *endlessDelivery) Dead(context.Context, string, int) error    { return nil }

// BenchmarkFeed is the machine alone: an operation is an event that is
// delivered and acknowledged at once.
func BenchmarkFeed(b *testing.B) {
	s := &endless{most: uint64(b.N), acked: make(chan struct{}, 4096)}
	for i := range 1000 {
		s.events = append(s.events, message(fmt.Sprint(i), i))
	}
	out := make(chan *pluginv1.Delivery, 256)
	f := feed.New(feed.Options{
		Plugin: "p", Name: "f", Source: s, Window: 256, Held: 4096, Parked: 65536, Timeout: aDay, Stats: &feed.Stats{},
		Deliver: func(_ context.Context, d *pluginv1.Delivery) { out <- d }, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx, nil) }()
	go func() {
		for d := range out {
			f.Settle(ctx, &pluginv1.Outcome{Delivery: d.GetId(), Result: &pluginv1.Outcome_Ack{Ack: &pluginv1.Ack{}}})
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		<-s.acked
	}
	b.StopTimer()
	cancel()
	<-ended
	close(out)
}
