package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func said(id int, created time.Time, text string) connectors.Frame {
	data := fmt.Appendf(nil, `{"id":%d,"conversation_id":1,"content":%q,"sender_type":"Contact","updated_at":%q}`, id, text, created.Format(time.RFC3339Nano))
	return connectors.Frame{
		Type: event.MessageNew, Object: fmt.Sprint(id), Conversation: "1", Data: data, Time: created, Updated: created,
		SenderType: event.SenderContact, Received: time.Now(),
	}
}

func body(unread, status int, created time.Time) connectors.Frame {
	return connectors.Frame{
		Type: event.ConversationUpdated, Object: "1", Conversation: "1", Received: time.Now(),
		Data: fmt.Appendf(nil, `{"id":1,"status":%d,"unread_count":%d,"created_at":%q}`, status, unread, created.Format(time.RFC3339Nano)),
	}
}

func TestWhatIsFoundInASnapshot(t *testing.T) {
	edited := said(2, noon.Add(2*time.Second), "two, edited")
	edited.Updated = noon.Add(time.Minute)
	back := said(2, noon.Add(2*time.Second), "two, edited")
	back.Updated = noon.Add(-time.Hour)
	tests := []struct {
		name     string
		snapshot connectors.Detail
		held     []connectors.Frame
		through  time.Time
		want     []string // keys, an edit's without its version
	}{
		{name: "nothing, where all was told", snapshot: detail(2, 0, said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two"))},
		{name: "a hole in the middle, though the last was told",
			snapshot: detail(3, 0, said(1, noon, "one"), said(9, noon.Add(time.Second), "hole"), said(2, noon.Add(2*time.Second), "two")), want: []string{"new/9"}},
		{name: "an old message with a new id: a clock that was set back", through: noon.Add(-time.Minute),
			snapshot: detail(3, 0, said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two"), said(3, noon.Add(-time.Hour), "late")), want: []string{"new/3"}},
		{name: "an edit", snapshot: detail(2, 0, said(1, noon, "one"), edited), want: []string{"edit/2"}},
		{name: "an edit whose time went backwards", snapshot: detail(2, 0, said(1, noon, "one"), back), want: []string{"edit/2"}},
		{name: "another status", snapshot: detail(2, 1, said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two")), want: []string{"fields"}},
		{name: "messages that were read", snapshot: detail(0, 0, said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two")), want: []string{"unread"}},
		{name: "no message that is held", held: []connectors.Frame{said(3, noon.Add(3*time.Second), "three")},
			snapshot: detail(3, 0, said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two"), said(3, noon.Add(3*time.Second), "three"))},
		{name: "no body where one is held", held: []connectors.Frame{body(2, 1, noon)},
			snapshot: detail(2, 1, said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Options{Account: "7"})
			r.memory.floor, r.memory.edits = noon.Add(-2*time.Hour), noon.Add(-2*time.Hour)
			for _, f := range []connectors.Frame{body(0, 0, noon.Add(-time.Minute)), said(1, noon, "one"), said(2, noon.Add(2*time.Second), "two")} {
				r.memory.note(f, Identity("7", f))
			}
			c := r.memory.conversation("1")
			c.born, c.through, c.last = true, tt.through, 2
			if tt.held != nil {
				r.held = &held{about: map[string]struct{}{}}
				for _, f := range tt.held {
					for _, what := range subjectsOf(f) {
						r.held.about[what] = struct{}{}
					}
				}
			}
			var got []string
			for _, f := range r.findings(c, tt.snapshot) {
				var kind, id string
				if n, _ := fmt.Sscanf(f.key, "edit/%1s", &id); n == 1 {
					kind = "edit/" + id
				} else if n, _ := fmt.Sscanf(f.key, "new/%1s", &id); n == 1 {
					kind = f.key
				} else {
					kind = f.key[:slices.Index([]byte(f.key), '/')]
				}
				got = append(got, kind)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

func detail(unread, status int, messages ...connectors.Frame) connectors.Detail {
	return connectors.Detail{Conversation: body(unread, status, noon.Add(-time.Minute)), Messages: messages}
}

func TestWhatIsOldNeedNotBeRemembered(t *testing.T) {
	m := newMemory("7")
	m.floor = noon
	for n := 1; n <= 3; n++ {
		f := said(n, noon.Add(time.Duration(n)*time.Minute), "x")
		f.Received = time.Now().Add(-time.Hour)
		if m.note(f, Identity("7", f)) {
			t.Errorf("message %d was told before", n)
		}
		if !m.note(f, Identity("7", f)) {
			t.Errorf("message %d was not told before", n)
		}
	}
	m.advance(noon.Add(10 * time.Minute))
	m.compared("1", []connectors.Frame{said(1, noon.Add(time.Minute), "x"), said(2, noon.Add(2*time.Minute), "x"), said(3, noon.Add(3*time.Minute), "x")})
	c := m.conversation("1")
	if len(c.messages) != 0 || c.last != 3 || !c.through.Equal(noon.Add(8*time.Minute)) {
		t.Errorf("remembered are %d, through %s and %d", len(c.messages), c.through, c.last)
	}
	for id, old := range map[int]bool{3: true, 4: false} {
		if got := m.old(c, said(id, noon.Add(3*time.Minute), "x")); got != old {
			t.Errorf("message %d is old: %t", id, got)
		}
	}
	if m.old(c, said(2, noon.Add(9*time.Minute), "x")) {
		t.Error("a message of a time that was not compared is old")
	}
}

func TestAClockThatWasSetBackIsNoticed(t *testing.T) {
	at := time.Now()
	c := cursor{Newest: noon, Date: noon, At: at}
	tests := []struct {
		name    string
		date    time.Time
		elapsed time.Duration
		want    time.Time
	}{
		{"it goes on", noon.Add(time.Minute), time.Minute, time.Time{}},
		{"it is rounded down to a second", noon.Add(59 * time.Second), time.Minute, time.Time{}},
		{"it does not say", time.Time{}, time.Minute, time.Time{}},
		{"an hour back", noon.Add(-time.Hour), time.Minute, noon.Add(-time.Hour - time.Minute - overlap)},
	}
	for _, tt := range tests {
		if got := c.steppedBack(tt.date, at.Add(tt.elapsed)); !got.Equal(tt.want) {
			t.Errorf("%s: list from %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestABackendThatAsksForTimeGetsIt(t *testing.T) {
	for _, tt := range []struct {
		err         error
		least, most time.Duration
	}{
		{errors.New("x"), 0, 2 * time.Second},
		{&connectors.Busy{After: 20 * time.Second, Err: errors.New("x")}, 20 * time.Second, 20 * time.Second},
		{&connectors.Busy{After: time.Hour, Err: errors.New("x")}, 5 * time.Minute, 5 * time.Minute},
		{connectors.Refused(errors.New("x")), 30 * time.Second, 30 * time.Second},
	} {
		if got := newRetries().after(tt.err); got < tt.least || got > tt.most {
			t.Errorf("after %v it waits %s", tt.err, got)
		}
	}
}
