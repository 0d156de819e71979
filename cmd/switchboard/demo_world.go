package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/slack/slacktest"
	"github.com/switchboard-dev/switchboard/plugins/webhook/webhooktest"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// world is what surrounds the bridge in the demo: the backend, and the
// receivers of what the plugins send.
type world struct {
	backend    *simulator.Server // nil: a real one
	backendURL *url.URL
	// tokenText is the token as the configuration has it.
	tokenText     string
	webhooks      *webhooktest.Receiver
	hooked        *hooked
	webhookURL    string
	webhookSecret string
	slack         *slacktest.Server
	slackURL      string
	slackToken    string

	servers []*http.Server
	serve   []func() error
	talking chan struct{}
}

func newWorld(d *demo, log *slog.Logger) (_ *world, err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	w := &world{
		webhookSecret: "whsec_" + base64.StdEncoding.EncodeToString(key),
		slackToken:    "xoxb-" + rand.Text(), talking: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.webhooks, err = webhooktest.New(w.webhookSecret); err != nil {
		return nil, err
	}
	w.hooked = &hooked{receiver: w.webhooks, ids: map[string]bool{}}
	w.slack = slacktest.New(w.slackToken)

	if d.backend != "" {
		if w.backendURL, err = parseBackend(d.backend); err != nil {
			return nil, err
		}
		if os.Getenv(tokenVariable) == "" {
			return nil, usagef("--backend needs a token: set the environment variable %s", tokenVariable)
		}
		w.tokenText = "${" + tokenVariable + "}"
	} else {
		w.tokenText = rand.Text()
		w.backend = simulator.New(simulator.Options{
			Accounts: []simulator.Account{{ID: d.account, Token: secret.Text(w.tokenText), AgentID: 3}},
			Rate:     d.rate, Seed: d.seed, EchoRef: true, Control: true, Logger: log,
		})
		if w.backendURL, err = w.listen(w.backend, log); err != nil {
			return nil, err
		}
	}
	webhookURL, err := w.listen(w.hooked, log)
	if err != nil {
		return nil, err
	}
	slackURL, err := w.listen(w.slack, log)
	if err != nil {
		return nil, err
	}
	w.webhookURL, w.slackURL = webhookURL.String()+"/hook", slackURL.String()+"/api/"
	return w, nil
}

// listen opens a loopback port for a part of the world.
func (w *world) listen(h http.Handler, log *slog.Logger) (*url.URL, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port for the demo: %w", err)
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	w.servers = append(w.servers, s)
	w.serve = append(w.serve, func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}

// run serves until ctx ends.
func (w *world) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, serve := range w.serve {
		group.Go(serve)
	}
	if w.backend != nil {
		group.Go(func() error {
			select {
			case <-w.talking:
				return w.backend.Run(ctx)
			case <-ctx.Done():
				return nil
			}
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		return w.close()
	})
	return group.Wait()
}

func (w *world) close() error {
	var errs []error
	if w.backend != nil {
		errs = append(errs, w.backend.Close())
	}
	for _, s := range w.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// talk lets the customers begin, hush lets them stop.
func (w *world) talk() { close(w.talking) }

func (w *world) hush() {
	if w.backend != nil {
		w.backend.Pause()
	}
}
