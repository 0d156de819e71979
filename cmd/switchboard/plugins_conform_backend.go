package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/connectors/account"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/conformance"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// conformAccount is the account of the simulated backend.
const conformAccount = "7"

// patienceOfConform bounds what takes milliseconds.
const patienceOfConform = 30 * time.Second

// conformBackend is the simulated backend behind a plugin that is tested: its
// events are what the plugin gets, and it does the plugin's actions.
type conformBackend struct {
	simulator *simulator.Server
	server    *http.Server
	connector connectors.Connector
	session   connectors.Session
	heard     chan connectors.Frame
	stop      context.CancelFunc
	running   sync.WaitGroup

	mu         sync.Mutex
	complaints []string
}

// openConformBackend starts the backend and connects to it as the bridge does.
func openConformBackend(ctx context.Context) (*conformBackend, error) {
	const token = "conformance"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the simulated backend: %w", err)
	}
	b := &conformBackend{
		simulator: simulator.New(simulator.Options{
			Accounts: []simulator.Account{{ID: conformAccount, Token: token}},
			History:  conformance.Conversations, EchoRef: true,
		}),
		heard: make(chan connectors.Frame, 64),
	}
	b.server = &http.Server{
		Handler: b.simulator, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	b.running.Go(func() { _ = b.server.Serve(l) }) // ends by close
	b.connector = account.New(account.Options{
		Account: conformAccount, WSURL: "ws://" + l.Addr().String(), APIURL: "http://" + l.Addr().String(),
		Token: func() (secret.Text, error) { return token, nil },
	})
	ctx, b.stop = context.WithCancel(ctx)
	if b.session, err = b.connector.Dial(ctx); err != nil {
		b.close()
		return nil, err
	}
	b.running.Go(func() { b.receive(ctx) })
	return b, nil
}

// receive keeps the backend from waiting for us.
func (b *conformBackend) receive(ctx context.Context) {
	for {
		f, err := b.session.Receive(ctx)
		if err != nil {
			return
		}
		if f.Kind == connectors.Complaint {
			b.mu.Lock()
			b.complaints = append(b.complaints, f.Text)
			b.mu.Unlock()
		}
		select {
		case b.heard <- f:
		default: // what comes of the plugin's actions
		}
	}
}

// events has customers and agents do something, and returns an event of each
// type that comes of it; and those that tell what became of an action, which
// come of the bridge itself.
func (b *conformBackend) events(ctx context.Context) ([]event.Event, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patienceOfConform, fmt.Errorf("not within %s", patienceOfConform))
	defer cancel()
	s := b.simulator
	// What happens before the backend knows of our socket is told to nobody.
	if err := s.Await(ctx, conformAccount, func(is simulator.Stats) bool { return is.Sockets.Open > 0 }); err != nil {
		return nil, err
	}
	id, err := s.OpenConversation(conformAccount, "Ada Lovelace")
	if err != nil {
		return nil, err
	}
	written, err := s.CustomerWrites(conformAccount, id, "Hello, where is my order 48213?")
	err = errors.Join(err,
		s.CustomerEdits(conformAccount, written, "Hello, where is my order 48213, please?"),
		s.SetStatus(conformAccount, id, event.StatusPending),
		s.CustomerTypes(conformAccount, id, true), s.CustomerTypes(conformAccount, id, false))
	if err != nil {
		return nil, err
	}
	var list []event.Event
	have := map[event.Type]bool{}
	for !have[event.TypingStop] { // the last
		select {
		case f := <-b.heard:
			if f.Kind != connectors.Event || have[f.Type] {
				continue
			}
			have[f.Type] = true
			list = append(list, event.Event{
				ID: "simulated-" + string(f.Type), Type: f.Type, Source: b.connector.Source(), Account: conformAccount,
				Conversation: f.Conversation, Time: f.Time, Data: f.Data,
			})
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	for _, e := range conformance.Samples() {
		if !have[e.Type] {
			e.Account, e.Conversation = conformAccount, strconv.FormatInt(id, 10)
			list = append(list, e)
		}
	}
	return list, nil
}

// act has the backend do an action.
func (b *conformBackend) act(ctx context.Context, a event.Action) error {
	return b.session.Send(ctx, a, a.ID)
}

func (b *conformBackend) lookUp(ctx context.Context, account, conversation string) (host.Conversation, error) {
	if account != conformAccount {
		return host.Conversation{}, host.ErrNotFound
	}
	found, err := b.connector.Conversation(ctx, conversation)
	if errors.Is(err, connectors.ErrNotFound) {
		return host.Conversation{}, host.ErrNotFound
	}
	if err != nil {
		return host.Conversation{}, err
	}
	c := host.Conversation{Data: found.Conversation.Data}
	for _, m := range found.Messages {
		c.Messages = append(c.Messages, m.Data)
	}
	return c, nil
}

// complained is what the backend said of the plugin's actions.
func (b *conformBackend) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.complaints
}

func (b *conformBackend) close() {
	b.stop()
	if b.session != nil {
		_ = b.session.Close()
	}
	_ = b.simulator.Close()
	_ = b.server.Close()
	b.running.Wait()
}
