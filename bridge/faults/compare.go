package faults

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// truth is what a row is judged by.
type truth struct {
	before, after simulator.Snapshot // what the backend had, and has
	told          told
	actions       []action
}

// judge fills in the counts of the row.
func (r *Row) judge(t truth) {
	r.Details = map[string][]string{}
	r.judgeMessages(t)
	r.judgeStates(t)
	r.judgeActions(t)
}

// found notes one thing that is wrong, in its column.
func (r *Row) found(count *int, column, format string, args ...any) {
	*count++
	const most = 5
	if len(r.Details[column]) < most {
		r.Details[column] = append(r.Details[column], fmt.Sprintf(format, args...))
	}
}

func (r *Row) judgeMessages(t truth) {
	was := map[int64]event.Message{}
	for _, m := range t.before.Messages {
		was[m.ID] = m
	}
	is := map[int64]bool{}
	for _, m := range t.after.Messages {
		is[m.ID] = true
		s := t.told.messages[m.ID]
		old, before := was[m.ID]
		if !before {
			r.Made++
			if s == nil || s.news == 0 {
				r.found(&r.Missing, "missing", "message %d of conversation %d", m.ID, m.ConversationID)
				continue
			}
		}
		edited := !m.UpdatedAt.Equal(m.CreatedAt) && (!before || m.Content != old.Content)
		if edited {
			r.Edited++
		}
		switch {
		case s == nil && edited:
			r.found(&r.Versions, "versions", "message %d: its edit was not told", m.ID)
		case s != nil && s.content != m.Content:
			r.found(&r.Versions, "versions", "message %d: %q is told last, the backend has %q", m.ID, s.content, m.Content)
		}
	}
	for id, s := range t.told.messages {
		if s.news == 0 {
			continue
		}
		r.Streamed++
		if s.news > 1 {
			r.found(&r.TwiceMessage, "msg twice", "message %d, %d times", id, s.news)
		}
		if _, before := was[id]; before || !is[id] {
			r.found(&r.Foreign, "foreign", "message %d is told as new, and is not", id)
		}
	}
	for id, n := range t.told.ids {
		if n > 1 {
			r.found(&r.TwiceID, "id twice", "event %s, %d times", id, n)
		}
	}
	for conversation, run := range t.told.live {
		for _, id := range run.wrong {
			r.found(&r.LiveOrder, "live order", "message %d of conversation %d after a later one", id, conversation)
		}
	}
	for conversation, run := range t.told.replayed {
		for _, id := range run.wrong {
			r.found(&r.ReplayOrder, "replay order", "message %d of conversation %d after a later one", id, conversation)
		}
	}
	for _, text := range t.told.unreadable {
		r.found(&r.Foreign, "foreign", "%s", text)
	}
}

// judgeStates compares the last state that the stream tells of a conversation
// with the backend's; for one that was there before, and is not told of, the
// state before, which a subscriber has by REST.
func (r *Row) judgeStates(t truth) {
	states := map[int64]event.Conversation{}
	for _, c := range t.before.Conversations {
		states[c.ID] = c
	}
	for id, c := range t.told.states {
		states[id] = c
	}
	// Customers' messages, for the count of those that are unread.
	customers := map[int64][]int64{}
	for id, s := range t.told.messages {
		if s.news > 0 && s.customer {
			customers[s.conversation] = append(customers[s.conversation], id)
		}
	}
	for _, want := range t.after.Conversations {
		r.Conversations++
		have, known := states[want.ID]
		if !known {
			r.found(&r.States, "states", "conversation %d is not known", want.ID)
			continue
		}
		// A message is told alone and counts as unread: those after the state's
		// last message come on top of what the state has.
		upTo := int64(0)
		if have.LastMessage != nil {
			upTo = have.LastMessage.ID
		}
		for _, id := range customers[want.ID] {
			if id > upTo {
				have.UnreadCount++
			}
		}
		if diff := differences(have, want); len(diff) > 0 {
			r.found(&r.States, "states", "conversation %d: %s", want.ID, strings.Join(diff, ", "))
		}
	}
}

// differences are the fields in which two states differ. Last message and last
// activity are those of messages, which are compared themselves.
func differences(have, want event.Conversation) (list []string) {
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"status", have.Status, want.Status},
		{"priority", have.Priority, want.Priority},
		{"assignee", have.AssigneeID, want.AssigneeID},
		{"inbox", have.InboxID, want.InboxID},
		{"team", have.TeamID, want.TeamID},
		{"contact", have.Contact, want.Contact},
		{"unread", have.UnreadCount, want.UnreadCount},
		{"labels", append([]string{}, have.Labels...), append([]string{}, want.Labels...)},
		{"snoozed", moment(have.SnoozedUntil), moment(want.SnoozedUntil)},
	} {
		if !reflect.DeepEqual(f.have, f.want) {
			list = append(list, fmt.Sprintf("%s %v is told, the backend has %v", f.name, shown(f.have), shown(f.want)))
		}
	}
	return list
}

func moment(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMicro()
}

func shown(v any) any {
	if id, ok := v.(*int64); ok && id != nil {
		return *id
	}
	return v
}

func (r *Row) judgeActions(t truth) {
	times := map[string]int{}
	for _, d := range t.after.Done {
		times[keyOf(d.Ref)]++
	}
	good := goodReads(t.actions, times)
	places := map[string]action{}
	for _, a := range t.actions {
		places[a.key] = a
	}
	for _, a := range t.actions {
		if !a.accepted {
			r.found(&r.Unaccepted, "refused", "action %s, %s: %s", a.key, a.kind, cmp.Or(a.refused, "no answer that lasts"))
			continue
		}
		r.Accepted++
		n, results := times[a.key], t.told.results[a.key]
		if n > 0 {
			r.Done++
		}
		if n > 1 && a.kind != event.MarkAsRead { // which done twice is done once
			r.found(&r.DoneTwice, "done twice", "action %s, %s, %d times", a.key, a.kind, n)
		}
		told := t.told.reasons[a.key]
		if n == 0 && told == "" && !good[a.key] {
			r.found(&r.Lost, "lost", "action %s, %s of conversation %d, told as %v", a.key, a.kind, a.conversation, kinds(results))
		}
		if told != "" {
			r.found(&r.Failed, "failed", "action %s, %s, done %d times, %s", a.key, a.kind, n, told)
		}
		switch {
		case len(results) == 0:
			r.found(&r.Untold, "untold", "action %s, %s, done %d times", a.key, a.kind, n)
		case len(results) > 1:
			r.found(&r.ToldTwice, "told twice", "action %s, %s: %v", a.key, a.kind, kinds(results))
		}
	}
	order, seen := order{}, map[string]bool{}
	for _, d := range t.after.Done {
		a, ok := places[keyOf(d.Ref)]
		if !ok || seen[a.key] {
			continue
		}
		seen[a.key] = true
		order.add(a.conversation, int64(a.place))
	}
	for conversation, run := range order {
		for _, place := range run.wrong {
			r.found(&r.DoneOrder, "done order", "the action in place %d of conversation %d after a later one", place+1, conversation)
		}
	}
}

// goodReads are reads that others of their conversation have made good: a later
// one, or one right before, which was done while they waited behind it.
func goodReads(actions []action, times map[string]int) map[string]bool {
	lanes := map[int64][]action{}
	for _, a := range actions {
		if a.accepted {
			lanes[a.conversation] = append(lanes[a.conversation], a)
		}
	}
	good := map[string]bool{}
	for _, lane := range lanes {
		slices.SortFunc(lane, func(a, b action) int { return a.place - b.place })
		before := false
		for _, a := range lane {
			before = a.kind == event.MarkAsRead && (before || times[a.key] > 0)
			good[a.key] = before
		}
		later := false
		for _, a := range slices.Backward(lane) {
			good[a.key] = a.kind == event.MarkAsRead && (later || good[a.key])
			later = later || a.kind == event.MarkAsRead && times[a.key] > 0
		}
	}
	return good
}

// keyOf is the sender's own key in a client_ref, which has the sender before it.
func keyOf(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

func kinds(results map[string]event.Type) (list []string) {
	for _, kind := range results {
		list = append(list, string(kind))
	}
	slices.Sort(list)
	return list
}
