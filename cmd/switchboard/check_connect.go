package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/connectors"
)

// tryTimeout bounds the try of NATS and of one account, each.
const tryTimeout = 15 * time.Second

// tryOut connects to what the configuration names, and leaves. It adds what
// fails to the draft, and returns a line for each that works. What is known to
// be wrong is not tried.
func tryOut(ctx context.Context, draft *config.Draft) []string {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	accounts := names(draft.Config.Accounts)
	failed := make([]error, len(accounts))
	var trying sync.WaitGroup
	for i, name := range accounts {
		if a := draft.Config.Accounts[name]; sound(draft, name) {
			trying.Go(func() { failed[i] = tryAccount(ctx, builtinConnectors[a.Connector](name, a)) })
		}
	}
	lines := tryNATS(ctx, draft)
	trying.Wait()
	for i, name := range accounts {
		at := []string{"accounts", name, "ws_url"}
		switch {
		case !sound(draft, name):
			continue
		case failed[i] == nil:
			lines = append(lines, fmt.Sprintf("account %s: connected to %s", name, draft.Config.Accounts[name].WSURL))
			continue
		case errors.Is(failed[i], connectors.ErrRefused):
			at[2] = "token"
		}
		draft.Add(at, failed[i].Error())
	}
	return lines
}

// sound reports whether an account can be tried.
func sound(draft *config.Draft, account string) bool {
	return draft.Sound("accounts", account, "connector") && draft.Sound("accounts", account, "ws_url") &&
		draft.Sound("accounts", account, "token")
}

func tryNATS(ctx context.Context, draft *config.Draft) []string {
	n := draft.Config.NATS
	switch {
	case n.URL == "":
		return []string{"nats: embedded, nothing to reach"}
	case !draft.Sound("nats", "url") || !draft.Sound("nats", "credentials"):
		return nil
	}
	if err := bus.Probe(ctx, bus.Options{URL: n.URL, Credentials: n.Credentials}); err != nil {
		draft.Add([]string{"nats", "url"}, err.Error())
		return nil
	}
	return []string{"nats: connected, with JetStream"}
}

// tryAccount opens a session and waits for a sign of life: some backends refuse
// a token only after the handshake.
func tryAccount(ctx context.Context, c connectors.Connector) error {
	s, err := c.Dial(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended, alive := make(chan error, 1), make(chan error, 1)
	go func() {
		for {
			if _, err := s.Receive(ctx); err != nil {
				ended <- err
				return
			}
		}
	}()
	go func() { alive <- s.Ping(ctx) }()
	select {
	case err := <-ended:
		return err
	case err := <-alive:
		select {
		case closed := <-ended: // the reason of a ping that failed
			return closed
		default:
		}
		if err != nil {
			return fmt.Errorf("connected, but the backend does not answer: %w", err)
		}
		return nil
	}
}
