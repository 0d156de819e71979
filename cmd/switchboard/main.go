// Command switchboard is the event bridge: see `switchboard help`, README.md
// and the package bridge.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
)

// version is set by the linker for a release.
var version = "0.1.0-dev"

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:])) }

// run executes one command and returns its exit status.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintln(os.Stderr, message(err))
	}
	var usage *usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return exitUsage
	}
	return exitFailed
}

// message is an error as it is shown: a line for each thing that is wrong.
func message(err error) string {
	if problems, ok := errors.AsType[*config.Error](err); ok {
		lines := make([]string, len(problems.Problems))
		for i, p := range problems.Problems {
			lines[i] = "switchboard: " + p.String()
		}
		return strings.Join(lines, "\n")
	}
	return "switchboard: " + strings.Join(strings.Fields(err.Error()), " ")
}

// errSaid ends a command that has already said what is wrong.
var errSaid = errors.New("failed")

// usageError is a wrong use of a command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "switchboard",
		Short: "The event bridge between customer conversations and other systems",
		Long: `Switchboard keeps an account's connection to a conversation backend alive,
republishes what it says as events on NATS, and hands them to plugins, which
answer with actions.

Try it with nothing else installed:  switchboard demo
Bridge a backend of your own:        switchboard init`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w (see `%s --help`)", err, c.CommandPath())
	})
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(
		newInit(), newCheck(), newRun(), newDemo(), newTail(), newAct(), newStatus(), newLink(), newQueue(), newDead(), newReplay(), newPlugins(), newBench(), newSimulate(), newPlugin(), newVersion(),
	)
	return root
}

// exactly is cobra.ExactArgs with our exit status.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			if n == 0 {
				return usagef("`%s` takes no argument, and got %q (see `%[1]s --help`)", c.CommandPath(), args[0])
			}
			return usagef("write `%s`, with one %s and not %d (see `%s --help`)", c.UseLine(), strings.Fields(c.Use)[1], len(args), c.CommandPath())
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "switchboard "+version)
			return err
		},
	}
}
