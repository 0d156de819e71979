package sdktest

import (
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

// Dead are the events that became dead letters, by feed and event, with their
// reasons.
func (l *Line) Dead() map[string]string {
	l.parts.mu.Lock()
	defer l.parts.mu.Unlock()
	dead := map[string]string{}
	for id, reason := range l.parts.dead {
		dead[id] = reason
	}
	return dead
}

// Timers are those that the plugin has set and that are not done.
func (l *Line) Timers() []host.Timer {
	list, _ := l.parts.All(l.t.Context(), name)
	return list
}
