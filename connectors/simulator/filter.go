package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// selection is what a list call asks for.
type selection struct {
	filters []filter
	compare func(a, b conversation) int
}

// filter tells whether a conversation is wanted.
type filter func(*thread) bool

// has reports whether all filters want the conversation.
func (s selection) has(t *thread) bool {
	return !slices.ContainsFunc(s.filters, func(f filter) bool { return !f(t) })
}

// filters are the parameters of the list call. Where a parameter is repeated,
// one of its values must fit; bounds of time include the time itself. As in
// Django, empty values and parameters that are not here are ignored.
var filters = map[string]func(values []string) (filter, error){
	"status":   numbers(func(t *thread) *int64 { return new(int64(t.Status)) }),
	"priority": numbers(func(t *thread) *int64 { return new(int64(t.Priority)) }),
	"assignee": numbers(func(t *thread) *int64 { return t.AssigneeID }),
	"inbox":    numbers(func(t *thread) *int64 { return &t.InboxID }),
	"team":     numbers(func(t *thread) *int64 { return t.TeamID }),

	"unassigned": boolean(func(t *thread) bool { return t.AssigneeID == nil }),
	"has_unread": boolean(func(t *thread) bool { return t.UnreadCount > 0 }),
	"is_snoozed": boolean(func(t *thread) bool { return t.Status == event.StatusSnoozed }),

	"labels":       texts(func(t *thread) []string { return t.Labels }),
	"contact_type": texts(func(t *thread) []string { return []string{t.Contact.ContactType} }),
	"waiting_for":  waitingFor,
	"search":       search,

	"created_after":        times(func(t *thread, at time.Time) bool { return !t.CreatedAt.Before(at) }),
	"created_before":       times(func(t *thread, at time.Time) bool { return !t.CreatedAt.After(at) }),
	"last_activity_after":  times(func(t *thread, at time.Time) bool { return !t.LastActivityAt.Before(at) }),
	"last_activity_before": times(func(t *thread, at time.Time) bool { return !t.LastActivityAt.After(at) }),
}

// orderings are the fields that "ordering" may name, with a "-" for descending.
var orderings = map[string]func(a, b conversation) int{
	"id":               func(a, b conversation) int { return cmp.Compare(a.ID, b.ID) },
	"created_at":       func(a, b conversation) int { return a.CreatedAt.Compare(b.CreatedAt.Time) },
	"last_activity_at": func(a, b conversation) int { return a.LastActivityAt.Compare(b.LastActivityAt.Time) },
	"priority":         func(a, b conversation) int { return cmp.Compare(a.Priority, b.Priority) },
	"status":           func(a, b conversation) int { return cmp.Compare(a.Status, b.Status) },
	"unread_count":     func(a, b conversation) int { return cmp.Compare(a.UnreadCount, b.UnreadCount) },
}

// selectBy reads a query. What is wrong with it is returned by parameter, as
// Django REST shows it.
func selectBy(query url.Values) (_ selection, invalid map[string][]string) {
	invalid = map[string][]string{}
	var s selection
	for name, values := range query {
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
		parse, known := filters[name]
		if !known || len(values) == 0 {
			continue
		}
		f, err := parse(values)
		if err != nil {
			invalid[name] = []string{err.Error()}
			continue
		}
		s.filters = append(s.filters, f)
	}
	var err error
	if s.compare, err = order(query.Get("ordering")); err != nil {
		invalid["ordering"] = []string{err.Error()}
	}
	return s, invalid
}

// order reads "ordering": fields between commas, by default the latest
// activity first.
func order(text string) (func(a, b conversation) int, error) {
	if text == "" {
		text = "-last_activity_at"
	}
	var by []func(a, b conversation) int
	for field := range strings.SplitSeq(text, ",") {
		name, descending := strings.CutPrefix(strings.TrimSpace(field), "-")
		compare, known := orderings[name]
		if !known {
			return nil, fmt.Errorf("%q cannot be ordered by", name)
		}
		if descending {
			by = append(by, func(a, b conversation) int { return compare(b, a) })
		} else {
			by = append(by, compare)
		}
	}
	return func(a, b conversation) int {
		for _, compare := range by {
			if c := compare(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.ID, b.ID)
	}, nil
}

func numbers(field func(*thread) *int64) func([]string) (filter, error) {
	return func(values []string) (filter, error) {
		wanted := make([]int64, len(values))
		for i, v := range values {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return nil, errors.New("enter a number")
			}
			wanted[i] = n
		}
		return func(t *thread) bool { n := field(t); return n != nil && slices.Contains(wanted, *n) }, nil
	}
}

func boolean(field func(*thread) bool) func([]string) (filter, error) {
	return func(values []string) (filter, error) {
		wanted, err := strconv.ParseBool(values[len(values)-1])
		if err != nil {
			return nil, errors.New("enter true or false")
		}
		return func(t *thread) bool { return field(t) == wanted }, nil
	}
}

func texts(field func(*thread) []string) func([]string) (filter, error) {
	return func(values []string) (filter, error) {
		return func(t *thread) bool {
			return slices.ContainsFunc(field(t), func(v string) bool { return slices.Contains(values, v) })
		}, nil
	}
}

func times(fits func(*thread, time.Time) bool) func([]string) (filter, error) {
	return func(values []string) (filter, error) {
		at, err := time.Parse(time.RFC3339, values[len(values)-1])
		if err != nil {
			return nil, errors.New("enter a time such as 2006-01-02T15:04:05Z")
		}
		return func(t *thread) bool { return fits(t, at) }, nil
	}
}

// waitingFor asks whose turn it is: the agent's where a customer wrote last.
func waitingFor(values []string) (filter, error) {
	whom := values[len(values)-1]
	if whom != "customer" && whom != "agent" {
		return nil, fmt.Errorf("%q is not customer or agent", whom)
	}
	return func(t *thread) bool {
		last := t.LastMessage
		return last != nil && (last.SenderType == event.SenderContact) == (whom == "agent")
	}, nil
}

// search looks in names, addresses and messages, whatever their case.
func search(values []string) (filter, error) {
	wanted := strings.ToLower(values[len(values)-1])
	in := func(s string) bool { return strings.Contains(strings.ToLower(s), wanted) }
	return func(t *thread) bool {
		return in(t.Contact.Name) || in(t.Contact.Email) ||
			slices.ContainsFunc(t.messages, func(m *message) bool { return in(m.Content) })
	}, nil
}
