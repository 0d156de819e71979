// Package live draws a running bridge on a terminal: links, plugins, counts of
// both ends with their rates, and events as they pass.
//
//	Source.Status, every Options.Every ──▶ model ──▶ screen
//	Source.Updates, as they come       ──▶   ▲
//	keys ──▶ Key.Do, beside the loop ────────┘
//
// It knows numbers and words, not bridges: the commands fill in the plain data
// below, so that `demo` shows what its world counted as well, and `status
// --watch` what it is told over the API. Nothing here waits inside the loop
// that draws, and everything that is kept is bounded. Text that came from
// outside cannot steer the terminal.
package live

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
)

// Source is what is watched. Its methods are called from several goroutines.
type Source interface {
	// Status is how things stand. It is called by one goroutine at a time,
	// each time with a deadline. What it cannot find out now, it leaves as it
	// was; an error says that nothing could be found out.
	Status(ctx context.Context) (Status, error)
	// Updates gives what happens: an [Event] each. Who sends must not
	// count on being read after the view has ended.
	Updates() <-chan Event
}

// Status is how everything stands at one moment.
type Status struct {
	// Title says what is watched, Note what is unusual about it.
	Title, Note string
	// Since is when it began; zero: unknown.
	Since   time.Time
	NATS    NATS
	Links   []Link
	Plugins []Plugin
	// Ends name the columns of Counts, at most three.
	Ends   []string
	Counts []Count
}

// Health is what a state means to who looks at it.
type Health int

// From nothing to do to something to do.
const (
	Good Health = iota
	Busy
	Bad
)

// NATS is the connection to NATS.
type NATS struct {
	Connected bool
	// Where is the server; Reconnects is how often the connection came back.
	Where      string
	Reconnects uint64
}

// Link is an account's connection to its backend.
type Link struct {
	Account, State, Reason string
	Health                 Health
	Since                  time.Time
	// Connections counts those that were made.
	Connections int
	// Waiting is how many actions are under way or wait, Failed how many
	// failed or expired.
	Waiting, Failed uint64
}

// Plugin is one plugin. A nil number is not known.
type Plugin struct {
	Name, State, Reason string
	Health              Health
	Since               time.Time
	PID, Restarts       int
	// Due is how many events the stream has for it, Delivered what it is done
	// with, Receiver what arrived at the other end by that one's own count.
	Due, Receiver *uint64
	Delivered     uint64
	// Held is how many events wait in the host or are inside the plugin.
	Held                   uint64
	Retried, Dead, Actions uint64
}

// lag is how far the plugin is behind: what it still has to do of what is on
// the stream, or of what the host has taken from it, where that is all there
// is to know.
func (p Plugin) lag() uint64 {
	if p.Due == nil {
		return p.Held
	}
	return *p.Due - min(*p.Due, p.Delivered)
}

// Count is one thing as each of the ends counted it.
type Count struct {
	Name string
	// Cells are in the order of [Status.Ends]; nil: that end does not count it.
	Cells []*uint64
	// Total is the count whose growth is drawn as the rate.
	Total uint64
}

// Event is a line of what happens.
type Event struct {
	Time time.Time
	// ID is the event's; empty for a line about the bridge itself, or about a
	// key.
	ID           string
	Type         string
	Conversation string
	Text         string
	// Answer says that a plugin or a person caused it, not a customer.
	Answer bool
}

// Key is something that a key does.
type Key struct {
	// Name is the key, Help what it does, in two words.
	Name, Help string
	// Do does it, beside the loop, and returns what it has done.
	Do func(context.Context) (string, error)
}

// Options say how to show a source.
type Options struct {
	Source Source
	// Every is how often the status is asked for. Zero: 1 s.
	Every time.Duration
	// Keys are offered beside q, which ends the view.
	Keys []Key
	// In and Out are the terminal; without In there are no keys, and a signal
	// ends the view. NoColor leaves colours out whatever the terminal can.
	In      io.Reader
	Out     io.Writer
	NoColor bool
}

// Run shows the source until ctx ends or somebody presses q or Ctrl-C; either
// is no error. The terminal is as it was when Run returns.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := []tea.ProgramOption{
		tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithFPS(30),
		// Signals are the caller's: they end ctx.
		tea.WithoutSignalHandler(),
	}
	// The library takes only true values for a wish; https://no-color.org
	// takes any that is not empty.
	if o.NoColor || os.Getenv("NO_COLOR") != "" {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	p := tea.NewProgram(newModel(ctx, o), options...)
	quit := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(quit); p.Quit() })
	_, err := p.Run()
	if !stop() {
		<-quit
	}
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil
	}
	return err
}
