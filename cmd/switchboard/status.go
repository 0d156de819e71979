package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/feed"
)

// status is what a running bridge says of itself.
type status struct {
	Version  string          `json:"version"`
	Since    time.Time       `json:"since"`
	DataDir  string          `json:"data_dir"`
	NATS     natsStatus      `json:"nats"`
	Accounts []bridge.Status `json:"accounts"`
	Plugins  []host.Status   `json:"plugins"`
	Bots     []botStatus     `json:"bots"`
	// Unready says why the bridge is not ready; empty: it is.
	Unready []string `json:"unready"`
}

type natsStatus struct {
	Embedded  bool   `json:"embedded"`
	Address   string `json:"address"`
	Connected bool   `json:"connected"`
	// Reconnects is how often the connection was lost and came back.
	Reconnects uint64 `json:"reconnects"`
}

func (r *bridgeRun) status() status {
	dir := r.cfg.DataDir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return status{
		Version: version, Since: r.since, DataDir: dir,
		NATS:     natsStatus{r.bus.Embedded(), r.bus.Address(), r.bus.Connected(), r.bus.Reconnects()},
		Accounts: r.bridge.Status(), Plugins: r.host.Status(), Bots: r.botStatus(), Unready: r.unready(),
	}
}

func newStatus() *cobra.Command {
	var d dialFlags
	var asJSON, watch bool
	c := &cobra.Command{
		Use: "status", Short: "Show a running bridge: links, queues, plugins, NATS", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := d.dial()
			if err != nil {
				return err
			}
			if watch && asJSON {
				return usagef("status takes --watch or --json, not both")
			}
			if watch {
				return watchStatus(c.Context(), client, c.InOrStdin(), c.OutOrStdout())
			}
			var s status
			if err := client.Status(c.Context(), &s); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			return s.print(c.OutOrStdout())
		},
	}
	d.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVarP(&watch, "watch", "w", false, "draw it on the terminal, once a second, until q is pressed")
	return c
}

func (s status) print(out io.Writer) error {
	w, p := newTable(out), newPen(out)
	nats := "external at " + s.NATS.Address
	if s.NATS.Embedded {
		nats = "embedded, " + cmp.Or(s.NATS.Address, "no port open")
	}
	if !s.NATS.Connected {
		nats += ", NOT CONNECTED"
	}
	fmt.Fprintf(w, "bridge\tversion %s, up %s\n", s.Version, live.Ago(time.Now(), s.Since))
	fmt.Fprintf(w, "nats\t%s\n", nats)
	fmt.Fprintf(w, "data\t%s\n", s.DataDir)

	fmt.Fprintln(w, "\n"+p.dim("ACCOUNT\tLINK\tSINCE\tRECEIVED\tPUBLISHED\tREPLAYED\tQUARANTINED\tACCEPTED\tCONFIRMED\tFAILED\tWAITING\tREASON"))
	for _, a := range s.Accounts {
		received := uint64(0)
		for _, n := range a.Inbound.Received {
			received += n
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", plain(a.Account), p.state(string(a.Link.State)), live.Ago(time.Now(), a.Link.Since),
			received, a.Inbound.Published, a.Inbound.Replayed, a.Inbound.Quarantined, a.Outbox.Accepted, a.Outbox.Confirmed,
			a.Outbox.Failed, a.Outbox.Waiting, short(a.Link.Reason, 60))
	}
	for _, a := range s.Accounts {
		if a.Reconcile.Problem != "" {
			fmt.Fprintf(w, "%s\tcannot be compared with its backend's REST API: %s\n", plain(a.Account), short(a.Reconcile.Problem, 120))
		}
	}
	printBots(w, p, s.Bots)
	if len(s.Plugins) == 0 {
		if len(s.Bots) == 0 {
			fmt.Fprintln(w, "\n"+noPlugins)
		}
		return w.Flush()
	}
	fmt.Fprintln(w, "\n"+p.dim("PLUGIN\tSTATE\tSINCE\tFEED\tDONE\tHELD\tRETRIED\tDEAD\tACTIONS\tRESTARTS\tREASON"))
	for _, plugin := range s.Plugins {
		feeds := plugin.Feeds
		if len(feeds) == 0 {
			feeds = []feed.Status{{Name: "-"}}
		}
		for i, f := range feeds {
			if i == 0 {
				fmt.Fprintf(w, "%s\t%s\t%s\t", plugin.Name, p.state(string(plugin.State)), live.Ago(time.Now(), plugin.Since))
			} else {
				fmt.Fprint(w, "\t\t\t")
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t", f.Name, f.Acked, f.Held, f.Retried, f.Dead)
			reason := cmp.Or(plugin.Reason, plugin.Rejected, plugin.Unhealthy, f.LastError)
			if i == 0 {
				fmt.Fprintf(w, "%d\t%d\t%s\n", plugin.Accepted, plugin.Restarts, short(reason, 60))
			} else {
				fmt.Fprintf(w, "\t\t%s\n", short(f.LastError, 60))
			}
		}
	}
	for _, plugin := range s.Plugins {
		if plugin.LastRefusal != "" {
			fmt.Fprintf(w, "%s\t%d actions refused, the last: %s\n", plugin.Name, plugin.Refused, short(plugin.LastRefusal, 160))
		}
	}
	return w.Flush()
}

// short is s on one line of at most n characters.
func short(s string, n int) string {
	r := []rune(plain(strings.Join(strings.Fields(s), " ")))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
