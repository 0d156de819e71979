package conformance

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	mendRedelivery  = "derive the id of an action from the event's id and what the action is, never from the time or at random"
	mendUnknownType = "ack what there is no handler for: new types come with new versions of a backend"
	mendBadData     = "catch what a handler throws, and reject what cannot be read: the same data will not be better the next time"
	mendLarge       = "allow messages of 16 MiB where the gRPC server is made: 4 MiB is the default of most"
)

func checkRedelivery(ctx context.Context, o *Options) error {
	m := newMemory()
	first, err := once(ctx, o, m, "redelivery")
	if err != nil {
		return err
	}
	// The outcome was lost: after a restart the same comes again.
	again, err := once(ctx, o, m, "redelivery")
	if err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	known := map[string]event.Action{}
	for _, a := range first {
		known[a.ID] = a
	}
	for _, a := range again {
		before, ok := known[a.ID]
		switch {
		case a.Type.Live():
		case !ok:
			return fmt.Errorf("the same event made %s of conversation %s with the id %q, which no action had the first time: "+
				"it would be done twice", a.Type, a.Conversation, a.ID)
		case before.Type != a.Type || before.Conversation != a.Conversation || before.Account != a.Account:
			return fmt.Errorf("the id %q was that of %s of conversation %s, and is now that of %s of conversation %s: "+
				"only one of them would be done", a.ID, before.Type, before.Conversation, a.Type, a.Conversation)
		}
	}
	seen := map[string]bool{}
	for _, a := range first {
		if !a.Type.Live() && seen[a.ID] {
			return fmt.Errorf("two actions have the id %q: only one of them would be done", a.ID)
		}
		seen[a.ID] = true
	}
	if len(first) == 0 {
		return note("it took no action; nothing could be done twice")
	}
	return nil
}

// once delivers the same events to a plugin that is started anew, and returns
// what it asked for.
func once(ctx context.Context, o *Options, m *memory, name string) ([]event.Action, error) {
	s, err := open(ctx, o, m)
	if err != nil {
		return nil, err
	}
	defer s.end()
	before := len(m.asked())
	_, err = s.feed(ctx, s.fresh(name, 2))
	return m.asked()[before:], err
}

// unknown are types that no version has, below those that feeds select whole.
func (s *session) unknown() []event.Type {
	var types []event.Type
	for _, t := range []event.Type{"conversation.conformance", "message.conformance", "action.conformance", "conformance.unknown"} {
		if len(s.wanting(t)) > 0 {
			types = append(types, t)
		}
	}
	return types
}

func checkUnknownType(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	// A plugin whose receiver is away retries all that it gets, these too.
	ids, err := s.feed(ctx, s.fresh("known", 1))
	if err != nil {
		return err
	}
	usual := s.results(ids)
	var strange []event.Event
	for i, t := range s.unknown() {
		e := of(Samples()[0], fmt.Sprintf("conformance-unknown-%d", i), int64(3000+i))
		e.Type, e.Account, e.Data = t, o.Accounts[0], []byte(`{"id":3000,"something":{"new":[1,2,3]}}`)
		strange = append(strange, e)
	}
	ids, err = s.feed(ctx, strange)
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.mu.Lock()
		out, what := s.outcomes[id][0], s.under[id]
		s.mu.Unlock()
		if kind := word(out); kind != "ack" && (kind == "reject" || !slices.Contains(usual, kind)) {
			return fmt.Errorf("%s was answered with %s", what, result(out))
		}
	}
	if len(strange) == 0 {
		return note("no feed selects a whole kind of events, such as message.*: it cannot get a type that it does not know")
	}
	return nil
}

// results are the kinds of outcomes of the deliveries.
func (s *session) results(ids []uint64) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, id := range ids {
		list = append(list, word(s.outcomes[id][0]))
	}
	return list
}

func word(out *pluginv1.Outcome) string {
	text, _, _ := strings.Cut(result(out), ":")
	return text
}

// unreadable are data that no handler expects.
var unreadable = []string{`null`, `[]`, `"text"`, `{"id":"x","conversation_id":{},"content":5}`, `{`, ``, "\xff\x00", `{"id":18446744073709551616}`}

func checkBadData(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	var bad []event.Event
	for i, e := range s.fresh("bad", 1) {
		for n, data := range unreadable {
			b := of(e, fmt.Sprintf("conformance-bad-%d-%d", i, n), int64(3100+i*100+n))
			b.Data = []byte(data)
			bad = append(bad, b)
		}
	}
	if _, err := s.feed(ctx, bad); err != nil {
		return err
	}
	if _, err := s.feed(ctx, s.fresh("good", 1)); err != nil {
		return fmt.Errorf("with sound data, after that: %w", err)
	}
	return nil
}

// The largest message of the host is 16 MiB; gRPC's default is 4.
const large = 6 << 20

func checkLarge(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	events := s.fresh("large", 1)
	var wanted []event.Event
	for _, e := range events {
		if len(s.wanting(e.Type)) > 0 {
			wanted = append(wanted, e)
		}
	}
	if len(wanted) == 0 {
		return note("no feed wants any of the events")
	}
	e := wanted[0]
	padding := bytes.Repeat([]byte("x"), large)
	e.Data = slices.Concat([]byte(`{"padding":"`), padding, []byte(`",`), bytes.TrimLeft(e.Data, " {"))
	began := time.Now()
	ids, err := s.deliver(e)
	if err == nil {
		err = s.settled(ctx, ids)
	}
	if err != nil {
		return fmt.Errorf("after %s: %w", time.Since(began).Round(time.Millisecond), err)
	}
	return nil
}
