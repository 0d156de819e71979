package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	mendOutcomes = "send exactly one outcome for each delivery, by its id, also when a handler throws; none for what is live"
	mendActions  = "name each type of action in the manifest; give each an id; take account and conversation from the event"
	mendPing     = "answer pings in what reads the line, not in what handles events; let no handler hold up the reader"
	mendDrain    = "on Drain: let handlers end, send their outcomes, and end the line within 3 s"
	mendTimer    = "give an outcome for deliveries that have a timer, and none of the fields of an event"
)

// apart is how many conversations an event is taken for, and so how many
// deliveries of a type are under way at once.
const apart = 8

// fresh are the events of the test that some feed wants, each for so many
// conversations of its own. Typing is not among them.
func (s *session) fresh(name string, times int) []event.Event {
	var list []event.Event
	for i, e := range s.o.Events {
		if e.Type.Live() {
			continue
		}
		for n := range times {
			list = append(list, of(e, fmt.Sprintf("conformance-%s-%d-%d", name, i, n), int64(1000+i*100+n)))
		}
	}
	return list
}

// chunks keep messages at the size that the host's have.
const chunk = 64

// feed delivers events and waits for their outcomes.
func (s *session) feed(ctx context.Context, events []event.Event) ([]uint64, error) {
	var all []uint64
	for some := range slices.Chunk(events, chunk) {
		ids, err := s.deliver(some...)
		if err != nil {
			return nil, err
		}
		if err := s.settled(ctx, ids); err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}

// quiet is how long the suite listens for what should not come.
const quiet = 200 * time.Millisecond

func checkOutcomes(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	for i, e := range o.Events {
		if e.Type.Live() && len(s.wanting(e.Type)) > 0 {
			live := &pluginv1.Live{Event: pluginv1.FromEvent(of(e, fmt.Sprintf("live-%d", i), 1))}
			if err := s.send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Live{Live: live}}); err != nil {
				return fmt.Errorf("send typing: %w", err)
			}
		}
	}
	ids, err := s.feed(ctx, s.fresh("outcomes", apart))
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return note("no feed wants any of the events; give a configuration under which it has something to do")
	}
	select {
	case <-time.After(quiet):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if n := len(s.outcomes[id]); n != 1 {
			return fmt.Errorf("%d outcomes of one delivery, %s", n, s.under[id])
		}
		if s.outcomes[id][0].GetResult() == nil {
			return fmt.Errorf("an outcome of %s says neither ack nor retry, pause or reject", s.under[id])
		}
	}
	if s.strays > 0 {
		return fmt.Errorf("%d outcomes of deliveries that never were (typing has none)", s.strays)
	}
	return nil
}

func checkActions(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	if _, err := s.feed(ctx, s.fresh("actions", 2)); err != nil {
		return err
	}
	ids, err := s.ring()
	if err != nil {
		return err
	}
	if err := s.settled(ctx, ids); err != nil {
		return err
	}
	asked := s.memory.asked()
	for _, a := range asked {
		what := fmt.Sprintf("%s of conversation %q of account %q", a.Type, a.Conversation, a.Account)
		switch err := a.Check(); {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case !slices.Contains(s.manifest.GetActions(), string(a.Type)):
			return fmt.Errorf("%s: it is not among the actions of the manifest, %s", what, one(s.manifest.GetActions()))
		case !slices.Contains(o.Accounts, a.Account):
			return fmt.Errorf("%s: it was granted %s", what, one(o.Accounts))
		}
	}
	if len(asked) == 0 && len(s.manifest.GetActions()) > 0 {
		return note("it took no action; give a configuration under which it takes its actions")
	}
	return nil
}

// ring delivers the timers that the plugin has set, as if they were due.
func (s *session) ring() ([]uint64, error) {
	s.memory.mu.Lock()
	var due []*pluginv1.Delivery
	for _, t := range s.memory.timers {
		due = append(due, &pluginv1.Delivery{
			Attempt: 1, Key: t.GetKey(),
			What: &pluginv1.Delivery_Timer{Timer: &pluginv1.Timer{Key: t.GetKey(), At: t.GetAt(), Data: t.GetData()}},
		})
	}
	s.memory.mu.Unlock()
	return s.sendDeliveries(due)
}

func checkTimer(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	ids, err := s.sendDeliveries([]*pluginv1.Delivery{{
		Attempt: 1, Key: "conformance-timer",
		What: &pluginv1.Delivery_Timer{Timer: &pluginv1.Timer{Key: "conformance", At: timestamppb.Now(), Data: []byte("x")}},
	}})
	if err != nil {
		return err
	}
	return s.settled(ctx, ids)
}

// pong is how long a pong may take. The host ends a plugin that says nothing
// for 20 s; a busy machine is no fault of the plugin's.
const pong = 5 * time.Second

func checkPing(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	if err := s.ping(ctx, 1); err != nil {
		return err
	}
	s.withhold() // handlers that ask the host anything hang now
	ids, err := s.deliver(s.fresh("ping", apart)...)
	if err != nil {
		return err
	}
	for n := range uint64(3) {
		if err := s.ping(ctx, 2+n); err != nil {
			return fmt.Errorf("with %d deliveries under way: %w", len(ids), err)
		}
	}
	s.release()
	return s.settled(ctx, ids)
}

// drained is how long the host waits for a plugin that it drains, with some
// grace for a busy machine.
const drained = 3*time.Second + 2*time.Second

func checkDrain(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	s.withhold()
	ids, err := s.deliver(s.fresh("drain", 1)...)
	if err != nil {
		return err
	}
	if err := s.ping(ctx, 1); err != nil { // it has read what was delivered
		return err
	}
	if err := s.send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Drain{Drain: &pluginv1.Drain{}}}); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	s.release()
	_ = s.until(ctx, o.within(drained), "", func() bool { return s.over })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if len(s.outcomes[id]) == 0 {
			return fmt.Errorf("what it had in hand was left without an outcome: %s", s.under[id])
		}
	}
	switch {
	case !s.over:
		return fmt.Errorf("the line still stands %s after Drain, with nothing in hand", o.within(drained))
	case s.overErr != nil:
		return fmt.Errorf("the line did not end in good order: %w", s.overErr)
	}
	return nil
}

// withKey is a configuration with one more key.
func withKey(config []byte, key string) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if fields == nil {
		return nil, errors.New("read the configuration: it is null")
	}
	fields[key] = json.RawMessage("1")
	return json.Marshal(fields)
}
