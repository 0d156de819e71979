package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func newBenchDeliver() *cobra.Command {
	var o deliverOptions
	var asJSON bool
	c := &cobra.Command{
		Use: "deliver", Short: "Measure the way of an event from the stream into a plugin and back", Args: exactly(0),
		Long: `Run a plugin that acknowledges every event, as a process of its own, over an
embedded NATS server with a stream of its own in a temporary directory.

First a backlog of events is drained: once by a bare JetStream consumer that
acknowledges each (raw), and then through the host and the plugin (delivered).
How far the two are apart is the host's share; the first tells what this machine
can do. Then events are published at a steady rate, and the time from there to
the plugin's handler is measured.`,
		Example: "  switchboard bench deliver\n  switchboard bench deliver --events 1000000 --for 30s --json",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Events <= 0 || o.For < time.Second || o.Rate <= 0 || o.Conversations <= 0 || o.Size <= 0 {
				return usagef("--events, --rate, --conversations and --size must be more than 0, and --for at least 1s")
			}
			progress := c.ErrOrStderr()
			p := newPen(progress)
			o.Started = func(what string) {
				if p.on {
					_, _ = fmt.Fprintln(progress, p.dim("… "+what)) // of no account
				}
			}
			report, err := deliver(c.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(report)
			}
			return report.print(c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&o.Events, "events", 300_000, "how many events the backlog has")
	c.Flags().IntVar(&o.Size, "size", 350, "bytes of data of an event")
	c.Flags().IntVar(&o.Conversations, "conversations", 1000, "conversations that they belong to")
	c.Flags().Float64Var(&o.Rate, "rate", 5000, "events per second for the time from publish to handler")
	c.Flags().DurationVar(&o.For, "for", 10*time.Second, "how long they are published")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().StringVar(&o.Profile, "cpuprofile", "", "write the host's profile of the backlog to a file")
	_ = c.Flags().MarkHidden("cpuprofile")
	return c
}

// deliverReport is what was measured.
type deliverReport struct {
	Events int `json:"events"`
	Size   int `json:"size"`
	// Raw and Delivered are events per second of the backlog.
	Raw       float64 `json:"raw_per_second"`
	Delivered float64 `json:"delivered_per_second"`
	// RawCPU, HostCPU (both with NATS in it) and PluginCPU are microseconds of processor time per
	// event, which says more than the above on a machine with other work; 0:
	// not known.
	RawCPU    float64        `json:"raw_cpu_us"`
	HostCPU   float64        `json:"host_cpu_us"`
	PluginCPU float64        `json:"plugin_cpu_us"`
	Rate      float64        `json:"rate"`
	Latency   deliverLatency `json:"latency"`
}

// deliverLatency is the time from publish to handler.
type deliverLatency struct {
	Events int     `json:"events"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

func (r deliverReport) print(to io.Writer) error {
	t := newTable(to)
	fmt.Fprintf(t, "a backlog of %d events of %d bytes\t\n", r.Events, r.Size)
	cpu := func(us, plugin float64) string {
		switch {
		case us == 0:
			return ""
		case plugin == 0:
			return fmt.Sprintf("%.1f µs of processor time an event", us)
		}
		return fmt.Sprintf("%.1f µs, %.1f µs of it in the plugin", us, plugin)
	}
	fmt.Fprintf(t, "  raw\t%.0f/s\t%s\n", r.Raw, cpu(r.RawCPU, 0))
	fmt.Fprintf(t, "  delivered\t%.0f/s\t%s\n", r.Delivered, cpu(r.HostCPU+r.PluginCPU, r.PluginCPU))
	fmt.Fprintf(t, "from publish to handler, at %.0f/s\t\n", r.Rate)
	fmt.Fprintf(t, "  p50\t%.2f ms\n  p99\t%.2f ms\n  max\t%.2f ms\t%d events\n", r.Latency.P50, r.Latency.P99, r.Latency.Max, r.Latency.Events)
	return t.Flush()
}
