package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestEventsStandInColumns(t *testing.T) {
	at := time.Now()
	var b strings.Builder
	l := newLines(&b)
	for _, e := range []api.Event{
		{Type: "message.new", Account: "7", Conversation: "42", Data: []byte(`{"content":"hi","sender_type":"User"}`)},
		{Type: "conversation.contact_changed", Account: "店", Conversation: "1234567890", Data: []byte(`{}`)},
		{Type: "message.new", Account: "Café", Data: []byte(`{"content":"a\u001b[2Jb\u202ec\nd","sender_type":"Contact"}`), By: "responder", Replayed: true},
		{Type: event.Type(strings.Repeat("x", 60)), Account: "7", Conversation: "1", Data: []byte(`{}`)},
		{Type: "message.new", Account: "7", Conversation: "1", Data: []byte(`{"content":"hi","sender_type":"User"}`)},
	} {
		e.Time = at
		if err := l.event(e); err != nil {
			t.Fatal(err)
		}
	}
	// What is wider than the columns so far widens them, up to a bound.
	want := strings.ReplaceAll(`TIME  message.new           7  42    User: hi
TIME  conversation.contact_changed  店  1234567890  {}
TIME  message.new                   Café  -           Contact: a`+"\uFFFD"+`[2Jbc d (by responder) (replayed)
TIME  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx  7     1           {}
TIME  message.new                               7     1           User: hi
`, "TIME", at.Format("15:04:05.000"))
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestATableAlignsWhatATerminalShows(t *testing.T) {
	var b strings.Builder
	w := newTable(&b)
	p := pen{on: true}
	fmt.Fprintln(w, "A\tLINK\tEND")
	fmt.Fprintf(w, "店\t%s\tx\n", p.good("up"))
	fmt.Fprintln(w, "e\u0301\tdown\t")
	fmt.Fprint(w, "\nlonger than all\ty\n")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "A   LINK  END\n店  \x1b[32mup\x1b[0m    x\ne\u0301   down\n\nlonger than all  y\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestAPenAccentsTerminalsOnly(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if newPen(file).on || newPen(&strings.Builder{}).on || !newPen(terminal).on {
		t.Error("a file is accented, or a terminal is not")
	}
	t.Setenv("TERM", "dumb")
	if newPen(terminal).on {
		t.Error("a dumb terminal is accented")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if newPen(terminal).on {
		t.Error("NO_COLOR is not respected")
	}
}

func TestSince(t *testing.T) {
	now := time.Now()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.Local)
	tests := []struct {
		text, refused string
		want          time.Time
	}{
		{text: "90s", want: now.Add(-90 * time.Second)},
		{text: "1h30m", want: now.Add(-90 * time.Minute)},
		{text: "2026-01-02T15:04:05Z", want: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)},
		{text: "2026-01-02 15:04", want: time.Date(2026, 1, 2, 15, 4, 0, 0, time.Local)},
		{text: "2026-01-02", want: time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local)},
		{text: "00:00", want: midnight},
		{text: "-1h", refused: "lies ahead: write it without the minus"},
		{text: "2999-01-02", refused: "lies ahead: there is nothing to show yet"},
		{text: "yesterday", refused: errSince.Error()},
		{text: "1d", refused: errSince.Error()},
		{text: "25:00", refused: errSince.Error()},
		{text: "30", refused: errSince.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			var f sinceFlag
			err := f.Set(tt.text)
			if tt.refused != "" {
				if err == nil || err.Error() != tt.refused {
					t.Errorf("error %v, want %s", err, tt.refused)
				}
				return
			}
			if d := f.Sub(tt.want); err != nil || d < 0 || d > time.Minute {
				t.Errorf("%s, %v, want %s", f.Time, err, tt.want)
			}
		})
	}
}
