package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// held is what the socket brought during the comparison after a connection.
type held struct {
	items []Item
	bytes int
	since time.Time
	// about tells what they are about: these win over a snapshot.
	about map[string]struct{}
}

// Connected says that there is a new connection, before its first frame is
// taken: what it brings is held until the gap before it is closed.
func (r *Reconciler) Connected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = &held{about: map[string]struct{}{}, since: time.Now()}
	}
	signal(r.found)
}

// Take publishes what the socket brought, or holds it, unless it was published
// before. It blocks while the stream takes no more.
func (r *Reconciler) Take(ctx context.Context, f connectors.Frame, e event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		return r.publish(ctx, Item{f, e.ID, &e})
	}
	r.held.items = append(r.held.items, Item{f, e.ID, &e})
	r.held.bytes += len(f.Raw)
	for _, what := range subjectsOf(f) {
		r.held.about[what] = struct{}{}
	}
	if r.held.bytes > maxHeldBytes || time.Since(r.held.since) > maxHeld {
		return r.letGo(ctx)
	}
	return nil
}

// subjectsOf names what a frame is about, for those that a snapshot has too.
func subjectsOf(f connectors.Frame) []string {
	switch f.Type {
	case event.MessageNew:
		return []string{"new/" + f.Object, "message/" + f.Object}
	case event.MessageUpdated:
		return []string{"message/" + f.Object}
	case event.ConversationNew, event.ConversationUpdated:
		return []string{"conversation/" + f.Object}
	}
	return nil
}

// has reports whether something is held about that.
func (h *held) has(what, id string) bool {
	if h == nil {
		return false
	}
	_, ok := h.about[what+"/"+id]
	return ok
}

// release lets go what is held.
func (r *Reconciler) release(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.letGo(ctx)
}

// letGo publishes what is held, in its order, and holds no more. The caller
// holds the lock.
func (r *Reconciler) letGo(ctx context.Context) error {
	h := r.held
	r.held = nil
	if h == nil {
		return nil
	}
	for _, item := range h.items {
		if err := r.publish(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes one item, unless that was done before. The caller holds the
// lock.
func (r *Reconciler) publish(ctx context.Context, item Item) error {
	f := item.Frame
	if item.Event != nil && r.unknown(f) {
		r.suspect(f.Conversation)
	}
	if r.memory.note(f, item.ID) {
		r.status.Duplicates++
		return nil
	}
	if item.Event == nil {
		r.status.Replayed++
	}
	r.flight.begin()
	if err := r.o.Publish(ctx, item); err != nil {
		// It is in the memory and not in the stream: the memory is not to be
		// kept. The process ends, and the next one finds it missing.
		r.flight.fail()
		return fmt.Errorf("publish %s: %w", item.ID, err)
	}
	return nil
}

// unknown reports whether a message belongs to a conversation of which nothing
// is known.
func (r *Reconciler) unknown(f connectors.Frame) bool {
	if f.Type != event.MessageNew && f.Type != event.MessageUpdated {
		return false
	}
	c := r.memory.conversations[f.Conversation]
	return c == nil || c.fields == ""
}
