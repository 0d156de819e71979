package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/config"
)

// tokenVariable has the token for --backend.
const tokenVariable = "BACKEND_TOKEN"

// demo is what was asked for on the command line.
type demo struct {
	length  time.Duration
	rate    float64
	seed    uint64
	backend string
	account string
	asJSON  bool
	plain   bool
	keep    bool
	log     logFlags

	in  io.Reader
	out io.Writer
	// stage is what is shown on a terminal; nil: lines are.
	stage *stage
}

func newDemo() *cobra.Command {
	var d demo
	c := &cobra.Command{
		Use: "demo", Short: "Everything on this machine, with nothing else installed", Args: exactly(0),
		Long: `Run everything on this machine: a simulated backend with chatting customers, the
embedded NATS server, the bridge, the three built-in plugins as processes, and a
receiver for each. It shows what happens, and at the end compares what the
bridge counted with what the backend and the receivers counted themselves; the
exit status is 1 where two numbers differ.

On a terminal it draws a live view, with keys that pause the customers, kill a
plugin, drop the socket and cut NATS; elsewhere, or with --plain, it prints a
line for each event.

With --backend it bridges a real backend instead; the token is in the
environment variable ` + tokenVariable + `.`,
		RunE: func(c *cobra.Command, _ []string) error {
			d.in, d.out = c.InOrStdin(), c.OutOrStdout()
			return d.run(c.Context(), c.ErrOrStderr())
		},
	}
	c.Flags().DurationVar(&d.length, "for", 0, "end after this long, such as 20s (default: at Ctrl-C)")
	c.Flags().Float64Var(&d.rate, "rate", 2, "customers' messages per second")
	c.Flags().Uint64Var(&d.seed, "seed", 1, "the same seed tells the same stories")
	c.Flags().StringVar(&d.backend, "backend", "", "URL of a real backend, such as http://localhost:8000")
	c.Flags().StringVar(&d.account, "account", "7", "the account")
	c.Flags().BoolVar(&d.asJSON, "json", false, "print nothing but the summary, as one JSON object")
	c.Flags().BoolVar(&d.plain, "plain", false, "print lines, on a terminal too")
	c.Flags().BoolVar(&d.keep, "keep", false, "keep the data directory")
	c.Flags().StringVar(&d.log.level, "log-level", "warn", "log of the bridge: debug, info, warn or error")
	d.log.format = "text"
	return c
}

// drainTimeout is how long the numbers have to become equal at the end.
const drainTimeout = 20 * time.Second

func (d *demo) run(ctx context.Context, errOut io.Writer) (err error) {
	out, logged := d.out, &held{to: errOut}
	log, err := d.log.logger(logged)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sb-demo-")
	if err != nil {
		return fmt.Errorf("make a data directory: %w", err)
	}
	if !d.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}

	// What surrounds the bridge outlives it.
	around, stop := context.WithCancel(context.WithoutCancel(ctx))
	world, err := newWorld(d, log)
	if err != nil {
		stop()
		return err
	}
	running, aroundCtx := errgroup.WithContext(around)
	running.Go(func() error { return world.run(aroundCtx) })
	defer func() {
		stop()
		err = errors.Join(err, running.Wait())
	}()

	cfg, file, err := d.configure(dir, world)
	if err != nil {
		return err
	}
	watch := watcher{}
	if !d.asJSON && !d.plain && onTerminal(out) {
		d.stage = newStage(d, world, logged)
		watch.done = d.stage.done
	}
	say := func(format string, args ...any) {
		if !d.asJSON {
			fmt.Fprintf(out, format+"\n", args...)
		}
	}
	say("data         %s", dir)
	say("backend      %s, account %s", world.backendURL, d.account)
	say("look inside  switchboard status --config %s", file)
	say("             switchboard tail --config %s", file)

	began := time.Now()
	var sum *summary
	ctx, end := context.WithCancel(ctx)
	defer end()
	serving, ctx := errgroup.WithContext(ctx)
	bridgeCtx, stopBridge := context.WithCancel(context.WithoutCancel(ctx))
	up := make(chan *bridgeRun, 1)
	watch.ready = func(r *bridgeRun) { up <- r }
	serving.Go(func() error { return serve(bridgeCtx, cfg, log, watch) })
	serving.Go(func() error {
		defer stopBridge()
		var r *bridgeRun
		select {
		case r = <-up:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var err error
		sum, err = d.show(ctx, r, world, cfg, began, say)
		return err
	})
	if err := serving.Wait(); err != nil && sum == nil {
		return err
	}
	if d.asJSON {
		if err := json.NewEncoder(out).Encode(sum); err != nil {
			return err
		}
	} else {
		sum.print(out)
	}
	if !sum.Equal {
		return fmt.Errorf("%d numbers differ: %s", len(sum.Differences), strings.Join(sum.Differences, "; "))
	}
	return nil
}

// show lets the customers talk, prints what happens, and counts at the end.
func (d *demo) show(ctx context.Context, r *bridgeRun, w *world, cfg *config.Config, began time.Time, say func(string, ...any)) (*summary, error) {
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	defer unwatch()
	watched := make(chan error, 1)
	tell := newNarrator(say).event
	if d.stage != nil {
		tell = d.stage.tell(watching)
	}
	go func() { watched <- api.Dial(cfg.APISocket()).Watch(watching, api.WatchSpec{Since: began}, tell) }()

	// The customers begin when somebody listens: what was said before is not
	// fetched yet.
	err := r.ready(ctx)
	if err != nil {
		return nil, err
	}
	if w.backend != nil {
		say("ready        customers write %g messages a second\n", d.rate)
	} else {
		say("ready        whatever happens at the backend shows here\n")
	}
	w.talk()

	timer := make(<-chan time.Time)
	if d.length > 0 {
		timer = time.After(d.length)
	}
	viewed, leave := d.view(ctx, r)
	select {
	case <-ctx.Done():
	case <-timer:
	case err = <-viewed:
	case err = <-watched:
		err = fmt.Errorf("watch events: %w", err)
	}
	if err := errors.Join(err, leave()); err != nil {
		return nil, err
	}
	say("\nthe customers stop; what is under way comes to its end …")
	w.hush()

	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return d.settle(bounded, r, w, began)
}

// settle counts until all numbers are equal, or its time is over.
func (d *demo) settle(ctx context.Context, r *bridgeRun, w *world, began time.Time) (*summary, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		sum, err := count(ctx, r, w, d.account)
		if err != nil {
			return nil, err
		}
		sum.Seconds = time.Since(began).Seconds()
		if sum.Equal {
			return sum, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sum, nil
		}
	}
}

// configure writes the demo's configuration, as a user would, and loads it.
func (d *demo) configure(dir string, w *world) (*config.Config, string, error) {
	ws := *w.backendURL
	ws.Scheme = map[string]string{"http": "ws", "https": "wss"}[ws.Scheme]
	text := fmt.Sprintf(`# Written by switchboard demo.
data_dir: %s
accounts:
  %q:
    ws_url: %q
    api_url: %q
    token: %s
plugins:
  forwarder:
    use: webhook
    accounts: [%[2]q]
    events: ["*"]
    config:
      endpoints: [{name: demo, url: %[6]q, secret: %[7]q}]
      allow_networks: [127.0.0.0/8]
  notifier:
    use: slack
    accounts: [%[2]q]
    events: [conversation.new, conversation.updated, message.new]
    config:
      token: %[8]q
      api_url: %[9]q
      rules: [{name: support, events: [conversation.new, message.new], channel: "#support"}]
  responder:
    use: autoresponder
    accounts: [%[2]q]
    events: [message.new]
    actions: [send_message, update_status, mark_as_read, start_typing, stop_typing]
    config:
      rules:
        - name: thanks
          when: {keywords: [thanks, thank you]}
          then: {reply: "You are welcome. We close this now; write again at any time.", status: resolved}
        - name: prices
          when: {keywords: [price, prices, cost, refund]}
          then: {reply: "Our prices are at example.com/prices; a colleague will look at your question.", mark_as_read: true}
        - name: greeting
          then: {reply: "Hello! We have your message and answer soon."}
          limits: {once_per_conversation: true}
`, filepath.Join(dir, "data"), d.account, ws.String(), w.backendURL.String(), w.tokenText,
		w.webhookURL, w.webhookSecret, w.slackToken, w.slackURL)
	file := filepath.Join(dir, "switchboard.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	cfg, err := config.Load(config.Options{Files: []string{file}, Connectors: names(builtinConnectors), Builtins: names(builtinPlugins)})
	return cfg, file, err
}

// parseBackend reads --backend.
func parseBackend(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, usagef("--backend %q is not a URL such as http://localhost:8000", text)
	}
	return u, nil
}
