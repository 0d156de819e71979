package main

import "github.com/spf13/cobra"

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use: "bench", Short: "Measure what the bridge promises",
		RunE: func(*cobra.Command, []string) error {
			return usagef("bench takes what to measure: deliver, faults or plugins")
		},
	}
	c.AddCommand(newBenchDeliver(), newBenchFaults(), newBenchPlugins())
	return c
}
