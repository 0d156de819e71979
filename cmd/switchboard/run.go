package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
)

// defaultConfig is read where no --config is given and it is there.
const defaultConfig = "switchboard.yaml"

// configFlags are the flags of commands that read the configuration.
type configFlags struct{ files, set []string }

func (f *configFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.files, "config", "c", nil,
		"configuration file; may be repeated, later ones win (default: SWITCHBOARD_CONFIG, or "+defaultConfig+" where it is there)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "one setting over files and environment, such as nats.listen=127.0.0.1:4222; may be repeated")
	must(c.MarkFlagFilename("config", "yaml", "yml"))
}

// options are where the configuration comes from.
func (f *configFlags) options() (config.Options, error) {
	files := f.files
	if len(files) == 0 {
		if list := os.Getenv("SWITCHBOARD_CONFIG"); list != "" {
			files = filepath.SplitList(list)
		} else if _, err := os.Stat(defaultConfig); err == nil {
			files = []string{defaultConfig}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return config.Options{}, fmt.Errorf("look for %s: %w", defaultConfig, err)
		}
	}
	o := config.Options{
		Files: files, Connectors: names(builtinConnectors), Builtins: names(builtinPlugins), Overrides: map[string]any{},
	}
	for _, setting := range f.set {
		path, value, ok := strings.Cut(setting, "=")
		if !ok {
			return o, usagef("--set %q is not key=value, such as nats.listen=127.0.0.1:4222", setting)
		}
		o.Overrides[path] = value
	}
	return o, nil
}

func (f *configFlags) load() (*config.Config, error) {
	draft, err := f.examine()
	if err != nil {
		return nil, err
	}
	if err := draft.Err(); err != nil {
		return nil, notConfigured(f, err)
	}
	return draft.Config, nil
}

// examine reads the configuration, whatever is wrong with it.
func (f *configFlags) examine() (*config.Draft, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	return config.Examine(o)
}

// notConfigured says it in other words where the one thing that is wrong is
// that there is no configuration at all.
func notConfigured(f *configFlags, err error) error {
	problems, ok := errors.AsType[*config.Error](err)
	if o, _ := f.options(); !ok || len(o.Files) > 0 || len(problems.Problems) != 1 || problems.Problems[0].Path != "accounts" {
		return err
	}
	return errors.New("accounts: none configured: there is no " + defaultConfig +
		" in this directory, and --config names none: `switchboard init` writes a first one")
}

// logFlags are the flags of commands that log.
type logFlags struct{ format, level string }

func (f *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "log-format", "text", "text or json")
	c.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
}

func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usagef("--log-level %q is not debug, info, warn or error", f.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("--log-format %q is not text or json", f.format)
}

func newRun() *cobra.Command {
	var cf configFlags
	var lf logFlags
	c := &cobra.Command{
		Use: "run", Short: "Run the bridge", Args: exactly(0),
		Long: `Run the bridge until SIGTERM or SIGINT; it then finishes what is under way and
stops within 10 seconds. It logs to stderr.

On SIGHUP it reads its configuration anew. A wrong one is refused whole. Of the
plugins only those are touched whose section changed: the new process is started
and configured before the old one ends, and where the new one is not accepted
the old one goes on. Changes outside of plugins: need a restart; the log names
them.`,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := lf.logger(c.ErrOrStderr())
			if err != nil {
				return err
			}
			cfg, err := cf.load()
			if err != nil {
				return err
			}
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			err = serve(c.Context(), cfg, reload{hangups, cf.load}, log)
			if err == nil {
				log.Info("bridge has stopped")
			}
			return err
		},
	}
	cf.add(c)
	lf.add(c)
	return c
}
