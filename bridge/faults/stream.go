package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// batch is how many messages are asked for at once.
const batch = 1000

// readTimeout bounds a look at the stream.
const readTimeout = 30 * time.Second

// reader reads the stream of events, from its beginning and as it grows. One
// goroutine uses it.
type reader struct {
	js     jetstream.JetStream
	cursor uint64 // the last sequence that was read
	told   told
}

// told is what the stream tells.
type told struct {
	events   int
	ids      map[string]int  // how often each ce-id
	messages map[int64]*said // by message id
	// states are the last conversation.* of each conversation.
	states map[int64]event.Conversation
	// results are the ends of each action by its key: type by ce-id.
	results        map[string]map[string]event.Type
	reasons        map[string]string // of those that did not end well
	live, replayed order
	unreadable     []string
}

// said is what the stream tells of a message.
type said struct {
	news         int // how often message.new
	conversation int64
	customer     bool
	content      string // of the last message.new or message.updated
}

func newTold() told {
	return told{
		ids: map[string]int{}, messages: map[int64]*said{}, states: map[int64]event.Conversation{},
		results: map[string]map[string]event.Type{}, reasons: map[string]string{},
		live: order{}, replayed: order{},
	}
}

// order watches numbers that must grow, apart for each conversation.
type order map[int64]*run

type run struct {
	last  int64
	wrong []int64 // those that came after a greater one
}

func (o order) add(conversation, n int64) {
	r := o[conversation]
	if r == nil {
		o[conversation] = &run{last: n}
		return
	}
	if n < r.last {
		r.wrong = append(r.wrong, n)
	}
	r.last = max(r.last, n)
}

// catchUp reads what is new.
func (r *reader) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := r.js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("look at the stream: %w", err)
	}
	last := s.CachedInfo().State.LastSeq
	if last < r.cursor || r.told.ids == nil { // sequences came back, or the first time
		r.cursor, r.told = 0, newTold()
	}
	if last == r.cursor {
		return nil
	}
	consumer, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.cursor + 1,
		MemoryStorage: true, InactiveThreshold: readTimeout,
	})
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	// It goes by itself where this fails.
	defer func() { _ = s.DeleteConsumer(ctx, consumer.CachedInfo().Name) }()
	for r.cursor < last {
		messages, err := consumer.FetchNoWait(batch)
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		n := 0
		for m := range messages.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("read the stream: %w", err)
			}
			n++
			r.cursor = meta.Sequence.Stream
			r.told.add(m.Headers(), m.Data())
		}
		if err := messages.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return fmt.Errorf("read the stream: %w", err)
		}
		if n == 0 { // what is left was removed
			r.cursor = last
		}
	}
	return nil
}

// add takes one message of the stream.
func (t *told) add(h nats.Header, data []byte) {
	id, kind := h.Get("ce-id"), event.Type(h.Get("ce-type"))
	if id == "" || kind == "" {
		return // not an event
	}
	t.events++
	t.ids[id]++
	var err error
	switch kind {
	case event.MessageNew, event.MessageUpdated:
		err = t.message(kind, h.Get("switchboard-replayed") == "true", data)
	case event.ConversationNew, event.ConversationUpdated:
		var c event.Conversation
		if err = json.Unmarshal(data, &c); err == nil {
			t.states[c.ID] = c
		}
	case event.ActionConfirmed, event.ActionFailed, event.ActionExpired:
		key := h.Get("switchboard-action")
		if t.results[key] == nil {
			t.results[key] = map[string]event.Type{}
		}
		t.results[key][id] = kind
		if kind != event.ActionConfirmed {
			var result struct {
				Reason string `json:"reason"`
			}
			err = json.Unmarshal(data, &result)
			t.reasons[key] = string(kind) + ": " + result.Reason
		}
	}
	if err != nil {
		t.unreadable = append(t.unreadable, fmt.Sprintf("event %s: %v", id, err))
	}
}

func (t *told) message(kind event.Type, replayed bool, data []byte) error {
	var m event.Message
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	s := t.messages[m.ID]
	if s == nil {
		s = &said{conversation: m.ConversationID, customer: m.FromContact()}
		t.messages[m.ID] = s
	}
	s.content = m.Content
	if kind != event.MessageNew {
		return nil
	}
	if s.news++; s.news > 1 {
		return nil // it is counted as one too many, and not as disorder
	}
	if replayed {
		t.replayed.add(m.ConversationID, m.ID)
	} else {
		t.live.add(m.ConversationID, m.ID)
	}
	return nil
}
