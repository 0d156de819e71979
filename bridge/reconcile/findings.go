package reconcile

import (
	"fmt"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// finding is something that the backend has and that was not told.
type finding struct {
	// key is the same when it is found again.
	key   string
	frame connectors.Frame
	again bool // it was told, and something older after it
}

// findings compares a snapshot of a conversation with what is known, in the
// order in which it is to be told. What is held about the same wins over the
// snapshot. The caller holds the lock.
func (r *Reconciler) findings(c *conversation, d connectors.Detail) []finding {
	var list []finding
	created, _ := times(d.Conversation.Data)
	fields, unread := digest(d.Conversation.Data)
	about := d.Conversation.Object
	heldBody := r.held.has("conversation", about)
	r.memory.dirty[about] = struct{}{}
	c.deleted = false
	switch {
	case c.born || heldBody:
	case created.After(r.memory.floor):
		f := d.Conversation
		f.Type, f.Time = event.ConversationNew, created
		list = append(list, finding{key: "born", frame: f})
	default:
		c.born = true
	}
	if c.fields == "" && c.born && !heldBody { // of the past
		c.fields, c.unread = fields, unread
	}
	list = append(list, r.messages(c, d.Messages)...)
	// A customer's message counts as unread when it is told.
	expected := c.unread + r.heldUnread(d)
	for _, f := range list {
		if f.frame.Type == event.MessageNew && f.frame.SenderType == event.SenderContact {
			expected++
		}
	}
	switch {
	case heldBody, !c.born, fields == "":
	case fields != c.fields:
		list = append(list, finding{key: "fields/" + fields, frame: d.Conversation})
	case unread != expected:
		list = append(list, finding{key: fmt.Sprint("unread/", unread), frame: d.Conversation})
	}
	return list
}

// agreed takes in that all findings of a snapshot were told: what is known of
// the conversation is what it says, less what is held. The caller holds the
// lock.
func (r *Reconciler) agreed(c *conversation, d connectors.Detail) {
	if r.held.has("conversation", d.Conversation.Object) {
		return
	}
	if fields, unread := digest(d.Conversation.Data); fields != "" {
		c.fields, c.unread = fields, unread-r.heldUnread(d)
	}
}

// heldUnread is how many of a snapshot's messages of the customer are held.
func (r *Reconciler) heldUnread(d connectors.Detail) (n int) {
	if r.held == nil {
		return 0
	}
	for _, f := range d.Messages {
		if f.SenderType == event.SenderContact && r.held.has("new", f.Object) {
			n++
		}
	}
	return n
}

// messages are those that were not told, or not as they are now, oldest first.
func (r *Reconciler) messages(c *conversation, all []connectors.Frame) []finding {
	if !compareSets && len(all) > 0 {
		all = all[len(all)-1:]
	}
	var list []finding
	for _, f := range all {
		e, known := c.messages[f.Object]
		if !e.told && !r.memory.old(c, f) {
			if !r.held.has("new", f.Object) {
				list = append(list, finding{key: "new/" + f.Object, frame: f})
			}
			continue
		}
		if r.held.has("message", f.Object) {
			continue
		}
		edit := f
		edit.Type, edit.Time = event.MessageUpdated, f.Updated
		version := versionOf(Identity(r.o.Account, edit))
		changed := false
		switch {
		case known && e.version != 0:
			changed = e.version != version || e.stale
		case known:
			if changed = e.updated != f.Updated.UnixNano(); !changed {
				e.version = version // what else changes now is seen
				c.messages[f.Object] = e
			}
		default:
			since := c.through
			if r.memory.edits.After(since) {
				since = r.memory.edits
			}
			changed = f.Updated.After(since) && f.Updated.After(f.Time) && f.Time.After(r.memory.newest.Add(-r.o.Depth))
		}
		if changed {
			list = append(list, finding{fmt.Sprintf("edit/%s/%x", f.Object, version), edit, e.stale && e.version == version})
		}
	}
	return list
}
