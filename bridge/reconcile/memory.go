package reconcile

import (
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// memory is what has been published of an account: the index against which the
// backend is compared. Times in it are the backend's but for those called seen.
// Its Reconciler's mutex guards it.
type memory struct {
	account string
	// floor bounds the past: what is older is never told as new.
	floor time.Time
	// edits is the floor of edits, which move no activity.
	edits time.Time
	// newest is the latest time that the backend has said: no later than its
	// clock.
	newest        time.Time
	conversations map[string]*conversation
	// dirty are the conversations that differ from what is stored.
	dirty map[string]struct{}
}

// conversation is what is known of one.
type conversation struct {
	// fields is the digest of its named fields; empty: not known, unsure: what
	// was told of them may have been lost.
	fields string
	// unread is the count in the latest body and the customer's messages since.
	unread int
	// told: conversation.new was. born: it was, or need not be, since the
	// conversation is older than the floor.
	told, born bool
	// deleted: the backend does not have it any more.
	deleted bool
	// Messages that were created by through, and have no larger number than
	// last, are known, also those that are no longer in messages.
	through time.Time
	last    int64
	// messages are those that a snapshot may be compared with.
	messages map[string]message
	// seen is when the socket last said something of it, by our clock.
	seen time.Time
	// activity is its last activity when it was last compared, and settled says
	// that this was long enough after for nothing to come late.
	activity time.Time
	settled  bool
}

// message is what is known of one. There are many, so it is small: its times
// are in nanoseconds since 1970.
type message struct {
	told bool // message.new was
	// stale: message.new was told after an edit of it, which it overtook at the
	// backend, so the last that was told is not the latest.
	stale            bool
	created, updated int64
	// version is the hash of the identity of its latest message.updated; 0:
	// there was none, and updated tells.
	version uint64
	// seen is when it was told, by our clock.
	seen int64
}

// remembered is how long a message stays in the index after it was compared, so
// that an edit is found whose time went backwards.
const remembered = 10 * time.Minute

// unsure is no digest: whatever the backend says differs from it.
const unsure = "?"

func newMemory(account string) *memory {
	return &memory{account: account, conversations: map[string]*conversation{}, dirty: map[string]struct{}{}}
}

func (m *memory) conversation(id string) *conversation {
	c := m.conversations[id]
	if c == nil {
		c = &conversation{messages: map[string]message{}}
		m.conversations[id] = c
	}
	return c
}

// note takes in what is about to be published, and reports whether that was
// published before: then it is not to be.
func (m *memory) note(f connectors.Frame, id string) (duplicate bool) {
	switch f.Type {
	case event.MessageNew, event.MessageUpdated, event.ConversationNew, event.ConversationUpdated:
	default:
		return false
	}
	c := m.conversation(f.Conversation)
	m.dirty[f.Conversation] = struct{}{}
	c.seen = f.Received
	switch f.Type {
	case event.MessageNew:
		e := c.messages[f.Object]
		if e.told {
			return true
		}
		e.stale = e.version != 0
		e.told, e.created, e.seen = true, f.Time.UnixNano(), f.Received.UnixNano()
		e.updated = max(e.updated, f.Updated.UnixNano())
		c.messages[f.Object] = e
		if f.SenderType == event.SenderContact {
			c.unread++
		}
		m.advance(f.Time)
	case event.MessageUpdated:
		e, v := c.messages[f.Object], versionOf(strings.TrimSuffix(id, again))
		if e.version == v && !e.stale {
			return true
		}
		e.stale = false
		e.version, e.updated, e.seen = v, f.Updated.UnixNano(), f.Received.UnixNano()
		c.messages[f.Object] = e
		m.advance(f.Updated)
	case event.ConversationNew:
		if c.told {
			return true
		}
		c.told, c.born, c.deleted = true, true, false
		c.fields, c.unread = digest(f.Data)
	case event.ConversationUpdated:
		c.deleted = false
		c.fields, c.unread = digest(f.Data)
	}
	return false
}

func (m *memory) advance(t time.Time) {
	if t.After(m.newest) {
		m.newest = t
	}
}

// old reports whether a message that is not in the index is one of those that
// were known before. Where ids are numbers a message must be old by its number
// too: a clock that was set back gives old times to new messages.
func (m *memory) old(c *conversation, f connectors.Frame) bool {
	if !f.Time.After(m.floor) {
		return true
	}
	if f.Time.After(c.through) {
		return false
	}
	n, err := strconv.ParseInt(f.Object, 10, 64)
	return err != nil || n <= c.last
}

// compared takes in that a snapshot held nothing that is not known: what is
// older than the overlap need not be remembered one by one any more.
func (m *memory) compared(id string, messages []connectors.Frame) {
	c := m.conversation(id)
	through := m.newest.Add(-overlap)
	if !through.After(c.through) {
		return
	}
	c.through = through
	for _, f := range messages {
		if n, err := strconv.ParseInt(f.Object, 10, 64); err == nil && !f.Time.After(through) {
			c.last = max(c.last, n)
		}
	}
	before := time.Now().Add(-remembered).UnixNano()
	for id, e := range c.messages {
		if max(e.created, e.updated) <= through.UnixNano() && e.seen < before {
			delete(c.messages, id)
		}
	}
	m.dirty[id] = struct{}{}
}

// again ends the id of an edit that is told a second time: under its own it
// would pass for a duplicate.
const again = "/again"

// versionOf makes a number of an identity, the same in every process.
func versionOf(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // it cannot fail
	return max(h.Sum64(), 1)
}
