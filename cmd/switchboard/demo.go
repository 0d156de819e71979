package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-dev/switchboard/bridge/api"
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
embedded NATS server, the bridge and the three built-in plugins as processes, and
receivers for what the plugins send. It shows what happens, and at the end compares
what the backend counted with what is on the stream and at the receivers; the
exit status is 1 where two numbers differ.

On a terminal it draws a live view, with keys that pause the customers, kill a
plugin, drop the socket and kill the bridge; elsewhere, or with --plain, it prints
a line for each event. The bridge can be killed by hand, too (kill -9, its process
id is printed and in the file ` + pidFile + ` of the data directory): it is started again
at once, and the numbers are equal in the end all the same.

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

// How long the numbers have to become equal at the end, and how long after
// something was broken: an action of which nobody knows is looked for 30 s
// before it is sent again.
const (
	drainTimeout = 20 * time.Second
	mendTimeout  = 90 * time.Second
)

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
	if !d.asJSON && !d.plain && onTerminal(out) {
		d.stage = newStage(d, world, logged)
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
	client := api.Dial(cfg.APISocket())
	bridge := newOwnBridge(dir, file, d, logged)
	bridge.began = func(pid, before int) {
		switch {
		case before == 0:
			say("bridge       pid %d", pid)
		case d.stage != nil:
			d.stage.restarted(pid, before)
		default:
			say("bridge       pid %d, in place of %d, which has ended", pid, before)
		}
	}
	var sum *summary
	ctx, end := context.WithCancel(ctx)
	defer end()
	serving, ctx := errgroup.WithContext(ctx)
	bridgeCtx, stopBridge := context.WithCancel(context.WithoutCancel(ctx))
	serving.Go(func() error { return bridge.Run(bridgeCtx) })
	serving.Go(func() error {
		defer stopBridge()
		var err error
		sum, err = d.show(ctx, bridge, client, world, began, say)
		return err
	})
	if err := serving.Wait(); err != nil {
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
func (d *demo) show(ctx context.Context, b *ownBridge, client *api.Client, w *world, began time.Time, say func(string, ...any)) (*summary, error) {
	// What reads the feed goes on while the numbers become equal.
	watching, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan error, 1)
	tell := newNarrator(say).event
	if d.stage != nil {
		tell = d.stage.tell(watching)
	}
	f := newFeed(client, began, tell)
	go func() { watched <- f.Run(watching); close(watched) }()
	defer func() { unwatch(); <-watched }()
	c := &counter{account: d.account, world: w, client: client, feed: f, bridge: b}

	err := ready(ctx, client)
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
	viewed, leave := d.view(ctx, c)
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
	return d.settle(context.WithoutCancel(ctx), c, began)
}

// ready waits until the bridge is.
func ready(ctx context.Context, client *api.Client) error {
	tick := time.NewTicker(again)
	defer tick.Stop()
	reason := "the bridge does not answer yet"
	for {
		var s status
		if err := client.Status(ctx, &s); err == nil {
			if len(s.Unready) == 0 {
				return nil
			}
			reason = strings.Join(s.Unready, "; ")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready: %s", reason)
		}
	}
}

// settle counts until all numbers are equal, or its time is over.
func (d *demo) settle(ctx context.Context, c *counter, began time.Time) (*summary, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for stopped := time.Now(); ; {
		bounded, cancel := context.WithTimeout(ctx, drainTimeout)
		sum, _, err := c.count(bounded, true)
		cancel()
		took := time.Since(stopped)
		if err == nil {
			sum.Seconds = time.Since(began).Seconds()
			if sum.Equal || took > mendTimeout || sum.Calm && took > drainTimeout {
				return sum, nil
			}
		} else if took > mendTimeout {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-c.bridge.ended:
			return nil, errors.Join(err, errors.New("the bridge has ended before the numbers were equal"))
		}
	}
}
