package sdktest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// What [Line.Refuse] may answer to an action.
var (
	// ErrUnavailable: not now; the plugin sees sdk.ErrUnavailable.
	ErrUnavailable = errUnavailable{}
	// ErrLimit: too much; the plugin sees sdk.ErrLimit.
	ErrLimit = host.ErrLimit
	// ErrInvalid: never; the plugin sees sdk.ErrInvalid.
	ErrInvalid = event.ErrInvalidAction
)

type errUnavailable struct{}

func (errUnavailable) Error() string { return "unavailable, as the test wants it" }

// Refuse has actions refused for which fn returns an error: [ErrUnavailable],
// [ErrLimit], [ErrInvalid], or one of its own, which counts as unavailable. nil:
// none is.
func (l *Line) Refuse(fn func(event.Action) error) {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	l.parts.refuse = fn
}

// Result says what becomes of actions that a plugin waits for, in place of
// action.confirmed: action.failed or action.expired, and why. nil: they are
// confirmed.
func (l *Line) Result(fn func(event.Action) (event.Type, string)) {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	l.parts.result = fn
}

// Conversation lets the plugin's look-ups find a conversation: its data, and
// that of its messages, oldest first. One that the test did not give is not
// found.
func (l *Line) Conversation(account, id string, data string, messages ...string) {
	c := host.Conversation{Data: []byte(data)}
	for _, m := range messages {
		c.Messages = append(c.Messages, []byte(m))
	}
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	if l.parts.conversations == nil {
		l.parts.conversations = map[string]host.Conversation{}
	}
	l.parts.conversations[account+"\x00"+id] = c
}

// Outcomes are those of all attempts of an event so far, by every feed.
func (l *Line) Outcomes(id string) []Outcome {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	return slices.Clone(l.parts.outcomes[id])
}

// Dead are the reasons of the events that became dead letters, by event.
func (l *Line) Dead() map[string]string {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	return maps.Clone(l.parts.dead)
}

// Timers are those that the plugin has set and that are not done, by key.
func (l *Line) Timers() map[string]time.Time {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	at := map[string]time.Time{}
	for key, t := range l.parts.timers {
		at[key] = t.At
	}
	return at
}

// Counters are what the plugin has told that it counted, by name and labels in
// order, as in `replies{result=ok}`. It tells once a second, and at its end.
func (l *Line) Counters() map[string]float64 {
	counted := map[string]float64{}
	for _, c := range l.stats.Snapshot(name).Counters {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(c.Labels)) {
			labels = append(labels, key+"="+c.Labels[key])
		}
		series := c.Name
		if len(labels) > 0 {
			series += "{" + strings.Join(labels, ",") + "}"
		}
		counted[series] = c.Value
	}
	return counted
}

// Unhealthy is what the plugin last said that keeps it from its work; it is
// asked every few seconds.
func (l *Line) Unhealthy() string { return l.stats.Snapshot(name).Unhealthy }
