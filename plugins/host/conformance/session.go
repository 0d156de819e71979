package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// session is a plugin that was started, configured and connected.
type session struct {
	o        *Options
	manifest *pluginv1.Manifest
	feeds    []*pluginv1.Feed
	memory   *memory
	client   pluginv1.PluginClient
	end      func()

	sending sync.Mutex
	stream  pluginv1.Plugin_ConnectClient

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each change below
	last     uint64        // the last delivery
	under    map[uint64]string
	outcomes map[uint64][]*pluginv1.Outcome
	strays   int
	pongs    map[uint64]bool
	withheld chan struct{} // answers wait until it is closed; nil: they do not
	over     bool
	overErr  error // nil: the plugin ended the line in good order
}

// open starts, configures and connects the plugin. memory is what it finds of
// an earlier session; nil: nothing.
func open(ctx context.Context, o *Options, m *memory) (*session, error) {
	client, stop, err := o.start(ctx)
	if err != nil {
		return nil, err
	}
	manifest, configured, err := host.Configure(ctx, client, o.spec())
	if err != nil {
		stop()
		return nil, err
	}
	if m == nil {
		m = newMemory()
	}
	s := &session{
		o: o, manifest: manifest, feeds: configured.GetFeeds(), memory: m, client: client, changed: make(chan struct{}),
		under: map[uint64]string{}, outcomes: map[uint64][]*pluginv1.Outcome{}, pongs: map[uint64]bool{},
	}
	lineCtx, cut := context.WithCancel(ctx)
	if s.stream, err = client.Connect(lineCtx); err != nil {
		cut()
		stop()
		return nil, fmt.Errorf("connect: %w", err)
	}
	var answering sync.WaitGroup
	answering.Go(func() { s.receive(lineCtx, &answering) })
	s.end = func() {
		s.release()
		cut()
		stop()
		answering.Wait()
	}
	return s, nil
}

// receive takes what the plugin says until the line is over.
func (s *session) receive(ctx context.Context, answering *sync.WaitGroup) {
	for {
		msg, err := s.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.change(func() { s.over, s.overErr = true, err })
			return
		}
		switch m := msg.GetMessage().(type) {
		case *pluginv1.FromPlugin_Outcomes:
			s.change(func() {
				for _, out := range m.Outcomes.GetOutcomes() {
					if s.under[out.GetDelivery()] == "" {
						s.strays++
						continue
					}
					s.outcomes[out.GetDelivery()] = append(s.outcomes[out.GetDelivery()], out)
				}
			})
		case *pluginv1.FromPlugin_Pong:
			s.change(func() { s.pongs[m.Pong.GetNumber()] = true })
		case *pluginv1.FromPlugin_Request:
			s.mu.Lock()
			withheld := s.withheld
			s.mu.Unlock()
			answering.Go(func() {
				if withheld != nil {
					select {
					case <-withheld:
					case <-ctx.Done():
						return
					}
				}
				answer := s.answer(ctx, m.Request)
				// What cannot be sent is told by the line's end.
				_ = s.send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Answer{Answer: answer}})
			})
		}
	}
}

// withhold lets whatever the plugin asks wait, until release.
func (s *session) withhold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.withheld = make(chan struct{})
}

func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.withheld != nil {
		close(s.withheld)
		s.withheld = nil
	}
}

func (s *session) change(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
	close(s.changed)
	s.changed = make(chan struct{})
}

// until waits for something to be so; the error says that it is not, and what
// was awaited.
func (s *session) until(ctx context.Context, within time.Duration, what string, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		s.mu.Lock()
		done, changed, over, overErr := so(), s.changed, s.over, s.overErr
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case over && overErr == nil:
			return fmt.Errorf("%s: the plugin ended the line", what)
		case over:
			return fmt.Errorf("%s: the line broke: %w", what, overErr)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, within)
		}
	}
}

func (s *session) send(msg *pluginv1.FromHost) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.stream.Send(msg)
}

// wanting are the feeds that want events of the type, within the manifest.
func (s *session) wanting(t event.Type) []string {
	var names []string
	for _, f := range s.feeds {
		for _, p := range event.Intersect(event.Patterns(s.manifest.GetEvents()), event.Patterns(f.GetEvents())) {
			if p.Matches(t) {
				names = append(names, f.GetName())
				break
			}
		}
	}
	return names
}

// deliver sends events to all feeds that want them, in one message, and returns
// their numbers.
func (s *session) deliver(events ...event.Event) ([]uint64, error) {
	var list []*pluginv1.Delivery
	for _, e := range events {
		for _, feed := range s.wanting(e.Type) {
			list = append(list, &pluginv1.Delivery{
				Feed: feed, Attempt: 1, Key: e.ID, What: &pluginv1.Delivery_Event{Event: pluginv1.FromEvent(e)},
			})
		}
	}
	return s.sendDeliveries(list)
}

func (s *session) sendDeliveries(list []*pluginv1.Delivery) ([]uint64, error) {
	ids := make([]uint64, len(list))
	s.mu.Lock()
	for i, d := range list {
		s.last++
		d.Id, ids[i] = s.last, s.last
		s.under[d.Id] = describe(d)
	}
	s.mu.Unlock()
	if len(list) == 0 {
		return nil, nil
	}
	err := s.send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Deliveries{Deliveries: &pluginv1.Deliveries{Deliveries: list}}})
	if err != nil {
		return nil, fmt.Errorf("deliver %d events: %w", len(list), err)
	}
	return ids, nil
}

func describe(d *pluginv1.Delivery) string {
	if t := d.GetTimer(); t != nil {
		return fmt.Sprintf("timer %q", t.GetKey())
	}
	return fmt.Sprintf("%s (feed %s)", d.GetEvent().GetType(), d.GetFeed())
}

// grace is what a plugin has beyond the timeout that its feed declares.
const grace = 5 * time.Second

// timeout is the longest of the feeds', with the grace.
func (s *session) timeout() time.Duration {
	longest := time.Duration(0)
	for _, f := range s.feeds {
		d := 25 * time.Second
		if f.GetTimeout() != nil {
			d = f.GetTimeout().AsDuration()
		}
		longest = max(longest, d)
	}
	return longest + s.o.within(grace)
}

// settled waits until each of the deliveries has an outcome.
func (s *session) settled(ctx context.Context, ids []uint64) error {
	var missing []string
	err := s.until(ctx, s.timeout(), "wait for outcomes", func() bool {
		missing = nil
		for _, id := range ids {
			if len(s.outcomes[id]) == 0 {
				missing = append(missing, s.under[id])
			}
		}
		return len(missing) == 0
	})
	if err != nil {
		return fmt.Errorf("%d of %d deliveries have no outcome, such as %s: %w", len(missing), len(ids), missing[0], err)
	}
	return nil
}

// ping waits for a pong.
func (s *session) ping(ctx context.Context, number uint64) error {
	if err := s.send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Ping{Ping: &pluginv1.Ping{Number: number}}}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return s.until(ctx, s.o.within(pong), "wait for the answer to a ping", func() bool { return s.pongs[number] })
}

// result is what a delivery came to, for errors.
func result(out *pluginv1.Outcome) string {
	switch r := out.GetResult().(type) {
	case *pluginv1.Outcome_Ack:
		return "ack"
	case *pluginv1.Outcome_Retry:
		return "retry: " + r.Retry.GetReason()
	case *pluginv1.Outcome_Pause:
		return "pause: " + r.Pause.GetReason()
	case *pluginv1.Outcome_Reject:
		return "reject: " + r.Reject.GetReason()
	}
	return "an outcome without a result"
}

// one is a list for a sentence.
func one(list []string) string { return strings.Join(list, ", ") }
