package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/plugins/host/conformance"
)

func newPluginsTest() *cobra.Command {
	var config, configFile string
	var env []string
	var asJSON, verbose bool
	c := &cobra.Command{
		Use: "test PATH [-- ARGS...]", Short: "Run an executable through what every plugin must keep to",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the plugin's executable, as in `switchboard plugins test ./my-plugin`")
			}
			return nil
		},
		Long: `Run a plugin, in any language, through what every plugin must keep to: that it
starts and says what it is, takes its configuration and refuses a typo in it,
gives each event one outcome, does nothing twice when an event comes again, is
not brought down by what it cannot read, answers pings while it works, finishes
when it is drained, and ends when it should.

It is started as the bridge does it, with mutual TLS and an empty environment,
once for each rule. A simulated backend is behind it: the events are that
backend's, and the plugin's actions are done there. Give it a configuration under
which it has something to do, and no real receiver: it gets some hundred events.

It exits with 1 when a rule is not kept.`,
		Example: `  switchboard plugins test ./my-plugin
  switchboard plugins test ./my-plugin --config '{"greeting":"hello"}'
  switchboard plugins test ./plugin.py --config-file test.json --env PYTHONPATH=lib
  switchboard plugins test ./multi -- serve`,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := conformConfig(config, configFile)
			if err != nil {
				return err
			}
			path, err := conformPath(args[0])
			if err != nil {
				return err
			}
			command := &conformance.Command{Path: path, Args: args[1:], Env: env}
			if verbose {
				command.Stderr = c.ErrOrStderr()
			}
			show := newConformReport(c.OutOrStdout())
			if asJSON {
				show = &conformReport{told: func(conformance.Result) {}}
			}
			if err := conform(c.Context(), conformance.Options{Command: command, Config: text}, show); err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(show.results)
			} else {
				err = show.sum(c.OutOrStdout())
			}
			if err == nil && show.failed > 0 {
				return errSaid
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&config, "config", "", "the plugin's configuration, one JSON object")
	f.StringVar(&configFile, "config-file", "", "a file with the plugin's configuration in JSON")
	f.StringArrayVar(&env, "env", nil, "a variable of its environment, as KEY=VALUE; may be repeated")
	f.BoolVarP(&verbose, "verbose", "v", false, "show what the plugin prints on stderr")
	f.BoolVar(&asJSON, "json", false, "print one JSON array")
	c.MarkFlagsMutuallyExclusive("config", "config-file")
	return c
}

// conformPath is the file that is meant: here, or in PATH.
func conformPath(name string) (string, error) {
	_, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) && filepath.Base(name) == name {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("find the plugin: %w", err)
	}
	return filepath.Abs(name)
}

func conformConfig(text, file string) ([]byte, error) {
	data := []byte(text)
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("--config-file: %w", err)
		}
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, usagef("the plugin's configuration is no JSON object: %w", err)
	}
	if object == nil {
		return nil, usagef("the plugin's configuration is null, and not a JSON object: write {}")
	}
	return data, nil
}

// conform runs the suite with a simulated backend behind it.
func conform(ctx context.Context, o conformance.Options, report *conformReport) error {
	backend, err := openConformBackend(ctx)
	if err != nil {
		return err
	}
	defer backend.close()
	if o.Events, err = backend.events(ctx); err != nil {
		return fmt.Errorf("get events of the simulated backend: %w", err)
	}
	o.Act, o.LookUp = backend.act, backend.lookUp
	if _, err = conformance.Run(ctx, o, report.take); err != nil {
		return err
	}
	if complaints := backend.complained(); len(complaints) > 0 {
		report.take(conformance.Result{
			Check: conformance.Check{
				Name: "backend", Rule: "the backend does its actions", Mend: "take account and conversation from the event",
			},
			Err: fmt.Errorf("it complained %d times, as in: %s", len(complaints), complaints[0]),
		})
	}
	return nil
}

// conformReport shows results as they come, and keeps them.
type conformReport struct {
	told    func(conformance.Result)
	results []conformResult
	failed  int
	began   time.Time
}

// conformResult is a result in JSON.
type conformResult struct {
	Name  string `json:"name"`
	Rule  string `json:"rule"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	Mend  string `json:"mend,omitempty"`
	Note  string `json:"note,omitempty"`
	Took  string `json:"took"`
}

func (r *conformReport) take(result conformance.Result) {
	out := conformResult{
		Name: result.Name, Rule: result.Rule, OK: result.Err == nil, Note: result.Note, Took: result.Took.Round(time.Millisecond).String(),
	}
	if result.Err != nil {
		r.failed++
		out.Error, out.Mend = result.Err.Error(), result.Mend
	}
	r.results = append(r.results, out)
	r.told(result)
}

// newConformReport writes a line for each rule, and below it what is to be
// known.
func newConformReport(out io.Writer) *conformReport {
	pen := newPen(out)
	lines := newColumns(out, 1, 15)
	tell := func(label, text string) {
		fmt.Fprintf(out, "   %s\n", pen.dim(label)+plain(strings.Join(strings.Fields(text), " ")))
	}
	return &conformReport{began: time.Now(), told: func(r conformance.Result) {
		mark := pen.good("✓")
		if r.Err != nil {
			mark = pen.bad("✗")
		}
		_ = lines.print(mark, r.Name, r.Rule) // a broken pipe is found at the end
		if r.Err != nil {
			tell("seen: ", r.Err.Error())
			tell("mend: ", r.Mend)
		}
		if r.Note != "" {
			tell("note: ", r.Note)
		}
	}}
}

func (r *conformReport) sum(out io.Writer) error {
	kept := len(r.results) - r.failed
	_, err := fmt.Fprintf(out, "\n%d of %d rules kept, in %s\n", kept, len(r.results), time.Since(r.began).Round(100*time.Millisecond))
	return err
}
