package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newInit() *cobra.Command {
	var file string
	var yes, force bool
	c := &cobra.Command{
		Use: "init", Short: "Write a first configuration, by asking", Args: exactly(0),
		Long: `Ask five questions and write a commented ` + defaultConfig + `. A flag answers its
question; with --yes nothing is asked, and what no flag says is the default.

The token itself is neither asked for nor written down: the configuration says
where it is, in an environment variable or a file.`,
		Example: `  switchboard init
  switchboard init --yes --backend https://chat.example.com --account 7 --plugins slack,webhook`,
	}
	given := map[string]*string{}
	for _, q := range questions {
		given[q.flag] = c.Flags().String(q.flag, "", q.usage)
	}
	c.Flags().StringVar(&file, "file", defaultConfig, "the file to write")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "ask nothing")
	c.Flags().BoolVar(&force, "force", false, "overwrite the file")
	complete(c, "plugins", func(*cobra.Command) []string { return append(names(builtinPlugins), none) })
	must(c.MarkFlagFilename("file", "yaml", "yml"))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if _, err := os.Lstat(file); err == nil && !force {
			return errExists(file)
		}
		s := &setup{}
		in, out := bufio.NewReader(c.InOrStdin()), c.OutOrStdout()
		if !yes {
			fmt.Fprintln(out, "Enter takes what is in [brackets]; everything can be changed in the file later.")
		}
		for _, q := range questions {
			var err error
			switch {
			case c.Flags().Changed(q.flag):
				if err = q.set(s, *given[q.flag]); err != nil {
					err = usagef("--%s %w", q.flag, err)
				}
			case yes:
				err = q.set(s, q.preset(s))
			default:
				err = q.ask(in, out, s)
			}
			if err != nil {
				return err
			}
		}
		if err := create(file, s.yaml(), force); err != nil {
			return err
		}
		return s.next(out, file)
	}
	return c
}

// none is the answer for nothing.
const none = "none"

// question is one thing to ask. Its answer is a text that set reads; what set
// says of a wrong one does not show it, for it may be a token.
type question struct {
	flag, usage, prompt string
	preset              func(*setup) string
	set                 func(*setup, string) error
}

// ask asks until the answer is a good one.
func (q question) ask(in *bufio.Reader, out io.Writer, s *setup) error {
	for {
		fmt.Fprintf(out, "\n%s [%s]: ", q.prompt, q.preset(s))
		line, err := in.ReadString('\n')
		if err != nil && line == "" {
			fmt.Fprintln(out)
			if errors.Is(err, io.EOF) {
				return usagef("the input ended before this was answered: answer it with --%s, or take what is in brackets with --yes", q.flag)
			}
			return fmt.Errorf("read the answer: %w", err)
		}
		answer := strings.TrimSpace(line)
		if answer == "" {
			answer = q.preset(s)
		}
		wrong := q.set(s, answer)
		if wrong == nil {
			return nil
		}
		fmt.Fprintf(out, "  that %v\n", wrong)
	}
}

func errExists(file string) error {
	return fmt.Errorf("%s is there already: --force overwrites it, --file names another one", file)
}

// create writes the file. Without force it overwrites nothing, not even what
// came there while the questions were asked.
func create(file, text string, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, mode, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errExists(file)
	case err != nil:
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
