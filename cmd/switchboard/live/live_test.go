package live

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)

// scripted is a source that says what it was given.
type scripted struct {
	status  Status
	err     error
	updates chan Event
}

func (s *scripted) Status(context.Context) (Status, error) { return s.status, s.err }
func (s *scripted) Updates() <-chan Event                  { return s.updates }

func n(v uint64) *uint64 { return &v }

// scene is a demo in which the notifier was killed, seconds after its start.
func scene(seconds uint64) Status {
	s := Status{
		Title: "demo, account 7 at http://127.0.0.1:40803", Note: "paused", Since: noon.Add(-42 * time.Second),
		NATS: NATS{Connected: true, Where: "embedded, no port", Reconnects: 1},
		Links: []Link{{
			Account: "7", State: "connected", Reason: "the backend accepted the connection", Since: noon.Add(-12 * time.Second),
			Connections: 2, Waiting: 1,
		}},
		Plugins: []Plugin{
			{Name: "forwarder", State: "running", Since: noon.Add(-41 * time.Second), PID: 4711, Due: n(66), Delivered: 66, Receiver: n(66)},
			{
				Name: "notifier", State: "waiting", Health: Busy, Reason: "its process ended with signal: killed", Since: noon.Add(-time.Second),
				Restarts: 1, Due: n(32), Delivered: 30, Receiver: n(30), Retried: 2,
			},
			{Name: "responder", State: "running", Since: noon.Add(-41 * time.Second), PID: 4713, Due: n(16), Delivered: 16, Dead: 1},
		},
		Ends: []string{"BACKEND", "BRIDGE", "STREAM"},
	}
	for i, name := range []string{"conversation.new", "conversation.updated", "message.new", "message.updated", "typing", "actions"} {
		total := seconds * uint64(i) * (2 + seconds%3)
		s.Counts = append(s.Counts, Count{Name: name, Cells: []*uint64{n(total + 1), n(total), nil}, Total: total})
	}
	return s
}

// shown is a model in which the scene has played.
func shown(width, height int) *model {
	m := newModel(context.Background(), Options{
		Source: &scripted{}, In: strings.NewReader(""),
		Keys: []Key{{Name: "p", Help: "pause/resume"}, {Name: "k", Help: "kill a plugin"}, {Name: "d", Help: "drop the socket"}, {Name: "b", Help: "kill bridge"}},
	})
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	for i := range 29 {
		s := scene(uint64(i))
		s.Plugins[1].State, s.Plugins[1].Health, s.NATS.Reconnects = "running", Good, 0
		m.Update(statusMsg{at: noon.Add(time.Duration(i-29) * time.Second), status: s})
	}
	var list updatesMsg
	for i := range 12 {
		at, id := noon.Add(time.Duration(i-12)*time.Second), fmt.Sprint("m", i)
		conversation := fmt.Sprint(i%3 + 1)
		switch i % 4 {
		case 0:
			list = append(list, Event{Time: at, ID: id, Type: "conversation.new", Conversation: conversation, Text: "Mei 陈 opens a conversation"})
		case 1:
			list = append(list, Event{Time: at, ID: id, Type: "message.new", Conversation: conversation, Text: "Ben Carter: My refund hasn't arrived yet 😕, and I have been waiting for it since the beginning of the month"})
		case 2:
			list = append(list, Event{Time: at, ID: id, Type: "message.new", Conversation: conversation, Answer: true, Text: "responder → Ben Carter: Hello! We have your message and answer soon."})
		case 3:
			list = append(list, Event{Time: at, ID: id, Type: "action.confirmed", Conversation: conversation, Text: "responder's send_message"})
		}
	}
	m.Update(list)
	m.Update(statusMsg{at: noon, status: scene(29)})
	return m
}

func TestTheScreenIsAsDrawn(t *testing.T) {
	for _, size := range []struct{ width, height int }{{80, 24}, {160, 50}} {
		name := fmt.Sprintf("%dx%d.txt", size.width, size.height)
		t.Run(name, func(t *testing.T) {
			got := ansi.Strip(shown(size.width, size.height).render()) + "\n"
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s\n(go test ./cmd/switchboard/live -update)", got, want)
			}
		})
	}
}

// overfull has more of everything than there is room for, and text that would
// like to break out.
func overfull(m *model) {
	s := scene(40)
	s.Title = strings.Repeat("会社 ", 60) + "\x1b[2J\n"
	s.Links[0].Reason = "\x1b]0;owned\a" + strings.Repeat("👩‍👩‍👧‍👦🇩🇪 ", 60)
	for i := range 40 {
		s.Links = append(s.Links, Link{Account: fmt.Sprint("会社", i), State: "連絡が取れない状態です", Health: Bad, Failed: 1 << 40, Waiting: 1 << 40})
		s.Plugins = append(s.Plugins, Plugin{Name: strings.Repeat("长", 30), State: "running", Delivered: 1 << 62, Due: n(1 << 63), Restarts: 1 << 40})
	}
	s.Counts = append(s.Counts, Count{Name: strings.Repeat("é", 40), Cells: []*uint64{n(1 << 63), n(1 << 63), n(1 << 63)}, Total: 1 << 63})
	m.Update(statusMsg{at: noon.Add(time.Minute), status: s})
	for i := range 2 * keptEvents {
		m.Update(updatesMsg{
			Event{Time: noon, ID: fmt.Sprint("x", i), Type: strings.Repeat("型", 30), Conversation: "123456789", Text: strings.Repeat("漢字😀\u202e\x1b[31m\r\n", 50)},
			Event{Time: noon.Add(time.Minute), Type: typeYou, Text: strings.Repeat("❤️", 200)},
		})
	}
}

func TestNothingIsWiderOrHigherThanTheTerminal(t *testing.T) {
	full := shown(80, 24)
	overfull(full)
	empty := newModel(context.Background(), Options{Source: &scripted{}})
	for _, m := range []*model{shown(80, 24), full, empty} {
		for width := range 201 {
			if width > 40 && width%10 > 1 {
				continue
			}
			for _, height := range []int{0, 1, 2, 3, 5, 10, 24, 60} {
				m.Update(tea.WindowSizeMsg{Width: width, Height: height})
				screen := m.render()
				lines := strings.Split(screen, "\n")
				if len(lines) > max(1, height) {
					t.Fatalf("%dx%d: %d lines", width, height, len(lines))
				}
				for _, l := range lines {
					if w := lipgloss.Width(l); w > width {
						t.Fatalf("%dx%d: a line of %d cells: %q", width, height, w, l)
					}
				}
				for _, r := range ansi.Strip(screen) {
					if r != '\n' && (r < ' ' || r == '\u202e') {
						t.Fatalf("%dx%d: the screen has %q", width, height, r)
					}
				}
			}
		}
	}
	if len(full.events) > keptEvents {
		t.Errorf("kept %d events", len(full.events))
	}
}

func TestWhatIsEssentialIsThereOnASmallScreen(t *testing.T) {
	screen := ansi.Strip(shown(80, 24).render())
	for _, want := range []string{
		"connected", "paused", "notifier             ● waiting", "LAG", "RECEIVER", "BACKEND", "RATE",
		"notifier is waiting: its process ended", "the connection was lost and is back", "q quit",
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
}

func TestKeys(t *testing.T) {
	pressed := 0
	m := newModel(t.Context(), Options{Source: &scripted{}, Keys: []Key{
		{Name: "k", Help: "kill", Do: func(context.Context) (string, error) { pressed++; return "killed it", nil }},
		{Name: "d", Help: "drop", Do: func(context.Context) (string, error) { return "", errors.New("no socket") }},
	}})
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	press := func(key tea.Key) tea.Msg {
		_, cmd := m.Update(tea.KeyPressMsg(key))
		if cmd == nil {
			return nil
		}
		if pressed > 0 {
			t.Fatal("a key was worked on inside the loop")
		}
		return cmd()
	}
	if msg := press(tea.Key{Code: 'x', Text: "x"}); msg != nil {
		t.Errorf("x does %v", msg)
	}
	for _, quit := range []tea.Key{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		if _, ok := press(quit).(tea.QuitMsg); !ok {
			t.Errorf("%v does not quit", quit)
		}
	}
	m.Update(press(tea.Key{Code: 'd', Text: "d"}))
	m.Update(press(tea.Key{Code: 'k', Text: "k"}))
	for _, want := range []string{"you        killed it", "failed     no socket"} {
		if screen := ansi.Strip(m.render()); !strings.Contains(screen, want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
}

func TestASourceThatDoesNotAnswerIsSaidToBeSo(t *testing.T) {
	m := shown(100, 30)
	m.Update(statusMsg{err: errors.New("no bridge is running there")})
	screen := ansi.Strip(m.render())
	if !strings.Contains(screen, "no answer: no bridge is running there") || !strings.Contains(screen, "forwarder") {
		t.Errorf("got\n%s", screen)
	}
}

func TestCharts(t *testing.T) {
	var s *series
	if got := s.chart(3); got != "   " {
		t.Errorf("without samples: %q", got)
	}
	s = &series{}
	for _, total := range []uint64{5, 5, 6, 14, 10, 10} { // 10: another bridge
		s.sample(total, time.Second)
	}
	if got, want := s.chart(7), "  ▁▂█▁▁"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r, ok := s.rate(); !ok || r != 1.8 {
		t.Errorf("rate %v, %v", r, ok)
	}
}

func TestRunEndsWithTheKeyAndWithTheContext(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(keys io.Writer, cancel func())
	}{
		{"q", func(keys io.Writer, _ func()) { fmt.Fprint(keys, "q") }},
		{"context", func(_ io.Writer, cancel func()) { cancel() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			in, keys := io.Pipe()
			defer keys.Close()
			out := &screen{drawn: make(chan struct{})}
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, Options{Source: &scripted{updates: make(chan Event)}, In: in, Out: out}) }()
			<-out.drawn
			tt.end(keys, cancel)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if !strings.Contains(out.String(), ansi.ResetModeAltScreenSaveCursor) {
				t.Errorf("the ordinary screen is not back: %q", out.String())
			}
		})
	}
}

// screen takes what is drawn, and says when the first of it is.
type screen struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	once  sync.Once
	drawn chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once.Do(func() { close(s.drawn) })
	return s.buf.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}
