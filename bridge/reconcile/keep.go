package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Events is the stream of what has been published.
type Events interface {
	// EventAt returns the id of the event at a place in the stream; empty:
	// there is none, because its time was over (expired) or because it was lost.
	EventAt(ctx context.Context, sequence uint64) (id string, expired bool, err error)
	// ReadEvents calls fn for the account's events, from the sequence on, up to
	// those that are there now.
	ReadEvents(ctx context.Context, account string, from uint64, fn func(sequence uint64, e event.Event) error) error
}

// State keeps memories. What Save has written is on disk.
type State interface {
	// LoadState returns the record of the account, nil without one, and calls fn for
	// that of each conversation.
	LoadState(ctx context.Context, account string, fn func(conversation string, record []byte) error) ([]byte, error)
	// SaveState writes records of conversations, and then the account's, which
	// know of the events up to the sequence.
	SaveState(ctx context.Context, account string, sequence uint64, record []byte, conversations map[string][]byte) error
}

// accountRecord is what is kept of an account.
type accountRecord struct {
	Floor  time.Time `json:"floor"`
	Edits  time.Time `json:"edits"`
	Newest time.Time `json:"newest"`
	Cursor cursor    `json:"cursor"`
	Swept  bool      `json:"swept"`
	// Place is the latest event that the records know of, and From where the
	// events begin that are in no record.
	Place place `json:"place"`
	From  place `json:"from"`
}

// conversationRecord is what is kept of a conversation, without its messages:
// those are in the events from From on.
type conversationRecord struct {
	Fields   string    `json:"fields,omitempty"`
	Unread   int       `json:"unread,omitempty"`
	Told     bool      `json:"told,omitempty"`
	Born     bool      `json:"born,omitempty"`
	Deleted  bool      `json:"deleted,omitempty"`
	Through  time.Time `json:"through,omitzero"`
	Last     int64     `json:"last,omitempty"`
	Sequence uint64    `json:"seq"` // of the Place that it was written with
	Seen     time.Time `json:"seen,omitzero"`
}

// slack is how far apart our clock may be from itself, where events are found
// by time.
const slack = time.Minute

// load brings the memory to where it was, and up to date by the events since.
func (r *Reconciler) load(ctx context.Context) error {
	kept := map[string]conversationRecord{}
	data, err := r.o.State.LoadState(ctx, r.o.Account, func(id string, data []byte) error {
		var c conversationRecord
		if err := json.Unmarshal(data, &c); err != nil {
			return fmt.Errorf("conversation %s: %w", id, err)
		}
		kept[id] = c
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what was published of account %s: %w", r.o.Account, err)
	}
	if data == nil {
		return nil // the first start
	}
	var a accountRecord
	if err := json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("read what was published of account %s: %w", r.o.Account, err)
	}
	intact := a.Place.Sequence == 0
	if !intact {
		id, expired, err := r.o.Events.EventAt(ctx, a.Place.Sequence)
		if err != nil {
			return err
		}
		intact = expired || id == a.Place.ID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.memory
	m.floor, m.edits, m.newest, r.cursor, r.swept, r.begun = a.Floor, a.Edits, a.Newest, a.Cursor, a.Swept, true
	r.from, r.flight.last = a.From, a.Place
	horizon, seen := m.newest.Add(-overlap), a.Place.At.Add(-slack)
	if !intact {
		if horizon, seen, err = r.survived(ctx, a, horizon, seen); err != nil {
			return err
		}
		r.cursor.Newest = horizon
		r.flight.last = place{}
		r.o.Log.Warn("the end of the stream of events is missing: what is later than this is compared with the backend", "than", horizon)
	}
	for id, k := range kept {
		c := m.conversation(id)
		c.fields, c.unread, c.told, c.born, c.deleted = k.Fields, k.Unread, k.Told, k.Born, k.Deleted
		c.through, c.last, c.seen = k.Through, k.Last, k.Seen
		if torn := k.Sequence > a.Place.Sequence; !intact || torn {
			if c.through.After(horizon) {
				c.through = horizon
			}
			if c.fields != "" && c.seen.After(seen) {
				c.fields = unsure
			}
		}
	}
	return r.o.Events.ReadEvents(ctx, r.o.Account, a.From.Sequence, func(sequence uint64, e event.Event) error {
		if f, ok := frameOf(e); ok {
			c := m.conversation(f.Conversation)
			unread, fields := c.unread, c.fields
			m.note(f, e.ID)
			if sequence <= a.Place.Sequence && intact { // it is in the record
				c.unread, c.fields = unread, fields
			}
		}
		return nil
	})
}

// survived is up to when events were surely told, where the latest known one is
// gone: by the backend's clock, and by ours.
func (r *Reconciler) survived(ctx context.Context, a accountRecord, horizon, seen time.Time) (time.Time, time.Time, error) {
	var newest time.Time
	err := r.o.Events.ReadEvents(ctx, r.o.Account, a.From.Sequence, func(_ uint64, e event.Event) error {
		if e.Type == event.MessageNew && e.Time.After(newest) {
			newest = e.Time
		}
		return nil
	})
	if !newest.IsZero() && newest.Add(-overlap).Before(horizon) {
		seen = seen.Add(newest.Add(-overlap).Sub(horizon))
		horizon = newest.Add(-overlap)
	}
	if newest.IsZero() { // nothing of all that is left
		horizon, seen = horizon.Add(-overlap), a.From.At.Add(-slack)
	}
	return horizon, seen, err
}

// frameOf is the frame that an event was, as far as the memory wants to know.
func frameOf(e event.Event) (connectors.Frame, bool) {
	f := connectors.Frame{Type: e.Type, Data: e.Data, Conversation: e.Conversation, Time: e.Time, Received: time.Now()}
	v, err := e.Decode()
	if err != nil {
		return f, false
	}
	switch v := v.(type) {
	case event.Conversation:
		f.Object = e.Conversation
	case event.Message:
		f.Object, f.Time, f.Updated, f.SenderType = fmt.Sprint(v.ID), v.CreatedAt, v.UpdatedAt, v.SenderType
	default:
		return f, false
	}
	return f, true
}

const (
	// landing is how long a save waits for what is on its way.
	landing = time.Second
	// lastSave bounds the save at the end.
	lastSave = 3 * time.Second
)

// keep writes the memory: when the floor is known, since what a bridge without a
// memory takes for the past is not told, now and then, and at the end.
func (r *Reconciler) keep(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.floor:
			if err := r.save(ctx, lastSave); err != nil && ctx.Err() == nil {
				r.o.Log.Warn("what is the past is not written yet", "error", err)
			}
		case <-tick.C:
			if err := r.save(ctx, landing); err != nil && ctx.Err() == nil {
				r.o.Log.Debug("what was published is written later", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
			defer cancel()
			if err := r.save(last, lastSave); err != nil && !errors.Is(err, errNotPublished) {
				r.o.Log.Warn("what was published is not written; it is found by comparison at the next start", "error", err)
			}
			return context.Cause(ctx)
		}
	}
}

// save writes what has changed. It holds everything up until what was published
// is in the stream, so that what is written is the memory as of one event.
func (r *Reconciler) save(ctx context.Context, patience time.Duration) error {
	sequence, record, conversations, err := r.records(ctx, patience)
	if err != nil || record == nil {
		return err
	}
	if err := r.o.State.SaveState(ctx, r.o.Account, sequence, record, conversations); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		for id := range conversations {
			r.memory.dirty[id] = struct{}{}
		}
		return err
	}
	return nil
}

func (r *Reconciler) records(ctx context.Context, patience time.Duration) (uint64, []byte, map[string][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		return 0, nil, nil, nil
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last, err := r.flight.wait(waiting)
	if err != nil {
		return 0, nil, nil, err
	}
	last.At = time.Now()
	r.history = append(r.history, last)
	m := r.memory
	conversations := make(map[string][]byte, len(m.dirty))
	for id := range m.dirty {
		c := m.conversations[id]
		if conversations[id], err = json.Marshal(conversationRecord{
			Fields: c.fields, Unread: c.unread, Told: c.told, Born: c.born, Deleted: c.deleted, Through: c.through, Last: c.last,
			Sequence: last.Sequence, Seen: c.seen,
		}); err != nil {
			return 0, nil, nil, fmt.Errorf("write conversation %s: %w", id, err)
		}
	}
	record, err := json.Marshal(accountRecord{
		Floor: m.floor, Edits: m.edits, Newest: m.newest, Cursor: r.cursor, Swept: r.swept, Place: last, From: r.from,
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("write account %s: %w", r.o.Account, err)
	}
	clear(m.dirty)
	return last.Sequence, record, conversations, nil
}

// passed takes in that everything active was compared, at that time. Messages
// that were told well before need not be read again at the next start. The
// caller holds the lock.
func (r *Reconciler) passed(began time.Time) {
	before := began.Add(-2 * overlap)
	for len(r.history) > 0 && r.history[0].At.Before(before) {
		r.from, r.history = r.history[0], r.history[1:]
	}
}
