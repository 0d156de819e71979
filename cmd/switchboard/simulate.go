package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

func newSimulate() *cobra.Command {
	var listen, token string
	var ids []string
	var o simulator.Options
	var lf logFlags
	c := &cobra.Command{
		Use: "simulate", Short: "Run a simulated backend with chatting customers, and faults on demand", Args: exactly(0),
		Long: `Run a backend that speaks the account protocol, with customers who write.

Faults are set over HTTP:
  curl -d '{"account":"7","fault":"drop"}' http://127.0.0.1:8000/control/faults
  curl http://127.0.0.1:8000/control/faults      what is known and in force
  curl http://127.0.0.1:8000/control/stats       what it has counted itself`,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := lf.logger(c.ErrOrStderr())
			if err != nil {
				return err
			}
			o.Logger, o.Control = log, true
			for _, id := range ids {
				o.Accounts = append(o.Accounts, simulator.Account{ID: id, Token: secret.Text(token)})
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("--listen: %w: choose another port, such as --listen 127.0.0.1:8001", err)
			}
			fmt.Fprintf(c.OutOrStdout(), "backend at http://%s, accounts %v, token %s\n", l.Addr(), ids, token)
			return simulate(c.Context(), simulator.New(o), l, log)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8000", "address; faults can be set by whoever reaches it")
	c.Flags().StringArrayVarP(&ids, "account", "a", []string{"7"}, "an account; may be repeated")
	c.Flags().StringVar(&token, "token", "demo-token", "the token of the accounts; no secret")
	c.Flags().Float64Var(&o.Rate, "rate", 1, "customers' messages per second and account")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "the same seed tells the same stories")
	c.Flags().IntVar(&o.Conversations, "conversations", 20, "conversations going on at a time per account")
	c.Flags().IntVar(&o.History, "history", 0, "conversations that exist before, per account")
	c.Flags().BoolVar(&o.EchoRef, "echo-ref", true, "echo client_ref, as some backends do")
	lf.add(c)
	return c
}

// simulate serves the backend and drives its customers until ctx ends.
func simulate(ctx context.Context, backend *simulator.Server, l net.Listener, log *slog.Logger) error {
	server := &http.Server{
		Handler: backend, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return backend.Run(ctx) })
	group.Go(func() error {
		if err := server.Serve(l); err != http.ErrServerClosed {
			return fmt.Errorf("serve the simulated backend: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		if err := backend.Close(); err != nil {
			return err
		}
		return server.Close()
	})
	return group.Wait()
}
