package faults

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

// Trial is one row at a backend that is not the simulator. Its caller runs the
// backend and the bridge, makes the load and breaks things; actions are sent,
// and the comparison is made, as for every other row. The bridge has account 7
// and the prefix switchboard. All fields are required but those that say so.
type Trial struct {
	// Fault is the row's name.
	Fault string
	// Tolerated are columns that count for nothing here. May be nil.
	Tolerated []string
	// Seed decides what the actions are.
	Seed uint64
	// Conn reaches the bridge's NATS, also after the bridge was restarted.
	Conn *nats.Conn
	// Conversations are those that get actions. The status of every second
	// one, from the second on, is changed by actions and must be by nobody else.
	Conversations []int64
	// Actions is how many there are a second.
	Actions float64
	// Settle is how long everything may take to come right after the load.
	Settle time.Duration
	// Load makes the load and has the fault strike. Actions are sent until it
	// returns.
	Load func(context.Context) error
	// Has says what the backend has. It is asked again and again, after the
	// load. An error ends the row.
	Has func(context.Context) (simulator.Snapshot, error)
	// Ends are the bridge's ends that nobody asked for, so far.
	Ends func() []string
}

// Run makes the row. It counts from a backend and a stream that were empty.
func (t Trial) Run(ctx context.Context) Row {
	row := Row{Fault: t.Fault, Tolerated: t.Tolerated}
	if err := row.try(ctx, t); err != nil {
		row.Error = err.Error()
	}
	return row
}

func (r *Row) try(ctx context.Context, t Trial) error {
	js, err := jetstream.New(t.Conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	const most = 10_000 // far more than any trial sends in one conversation
	s := newSender(t.Conn, random(t.Seed, t.Fault, "actions"), t.Conversations, most)
	accepted := make(chan struct{})
	running.Go(func() {
		defer close(accepted)
		s.Run(ctx)
	})

	loading, loaded := context.WithCancel(ctx)
	stepped := make(chan error, 1)
	go func() { stepped <- steps(loading, t.Actions, s.step) }()
	// Also where a test's Load does not return, but ends its goroutine.
	end := sync.OnceValue(func() error {
		loaded()
		defer s.end()
		return <-stepped
	})
	defer func() { _ = end() }() // was looked at below, or nobody is left to look
	begun := time.Now()
	err = t.Load(ctx)
	if err = errors.Join(err, end()); err != nil {
		return err
	}
	r.Load = time.Since(begun).Seconds()
	return r.settle(ctx, sight{js: js, has: t.Has, ends: t.Ends, patience: t.Settle}, truth{}, s, accepted)
}
