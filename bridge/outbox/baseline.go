package outbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// newMessage stands between the account and the message in the id of the event
// that tells of a message: the bridge makes it so, for what comes over the
// socket and what comes by REST alike.
const newMessage = "/" + string(event.MessageNew) + "/"

// overlap is how much older than its sending a message may seem that is ours:
// clocks differ.
const overlap = 2 * time.Minute

// baseline is what was known before an action was first sent: what is not
// newer did not come of it. It stays the same when the action is sent again,
// for the first try may arrive late.
type baseline struct {
	// After is the highest id of a message that was known; 0: none was.
	After int64 `json:"after,omitempty"`
	// Since is when it was first sent, by our clock.
	Since time.Time `json:"since,omitzero"`
	// Status is the conversation's, as last heard; nil: nothing was.
	Status *event.Status `json:"status,omitempty"`
	// Self is who we are, where that was learned from an echo.
	Self *Self `json:"self,omitempty"`
}

// mayCause reports whether the message is new enough to be what the action
// caused. Ids of messages grow over the whole account; where none was known, or
// they are no numbers, its time decides: that it came over the socket says
// enough of it.
func (b baseline) mayCause(account string, ev event.Event, skew time.Duration) bool {
	if id := messageID(account, ev.ID); id > 0 && b.After > 0 {
		return id > b.After
	}
	return !ev.Replayed || ev.Time.IsZero() || !ev.Time.Before(b.Since.Add(skew-overlap))
}

// messageID is the number of the message that an event tells of; 0: it has none.
func messageID(account, eventID string) int64 {
	rest, ok := strings.CutPrefix(eventID, account)
	if !ok {
		return 0
	}
	object, ok := strings.CutPrefix(rest, newMessage)
	if !ok {
		return 0
	}
	id, err := strconv.ParseInt(object, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// seen is what the events so far told. The mutex of echoes guards it.
type seen struct {
	highest  int64 // the highest id of a message
	statuses map[string]event.Status
}

// maxStatuses bounds of how many conversations the status is remembered. What
// it is not remembered of is sent again less readily, no more.
const maxStatuses = 100_000

// event takes in what an event tells.
func (s *seen) event(account string, ev event.Event) {
	switch ev.Type {
	case event.MessageNew:
		s.highest = max(s.highest, messageID(account, ev.ID))
	case event.ConversationNew, event.ConversationUpdated:
		var c struct {
			Status *event.Status `json:"status"`
		}
		if json.Unmarshal(ev.Data, &c) != nil || c.Status == nil {
			return
		}
		if _, known := s.statuses[ev.Conversation]; known || len(s.statuses) < maxStatuses {
			s.statuses[ev.Conversation] = *c.Status
		}
	}
}

func (s *seen) baseline(a event.Action, highest int64) baseline {
	b := baseline{After: max(s.highest, highest), Since: time.Now()}
	if status, ok := s.statuses[a.Conversation]; ok && a.Type == event.UpdateStatus {
		b.Status = &status
	}
	return b
}

// claims are the latest events that confirmed an action: none confirms two.
// The mutex of echoes guards them.
type claims struct {
	owners map[string]owner // by the event's id
	ring   []string         // their ids; when it is full, the oldest is at next
	next   int
}

// remembered is how many are told from new ones.
const remembered = 4096

// owner is whose an event is.
type owner struct{ sender, action, traceParent, traceState string }

func (w owner) mark(ev *event.Event) {
	ev.By, ev.Action, ev.TraceParent, ev.TraceState = w.sender, w.action, w.traceParent, w.traceState
}

func (c *claims) add(id string, w owner) {
	if _, again := c.owners[id]; again {
		return
	}
	c.owners[id] = w
	if len(c.ring) < remembered {
		c.ring = append(c.ring, id)
		return
	}
	delete(c.owners, c.ring[c.next])
	c.ring[c.next] = id
	c.next = (c.next + 1) % remembered
}
