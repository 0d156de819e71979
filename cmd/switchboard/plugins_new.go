package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/switchboard-dev/switchboard/config"
	pythonplugin "github.com/switchboard-dev/switchboard/examples/python-plugin"
)

// module is this one, as a plugin in Go requires it.
const module = "github.com/switchboard-dev/switchboard"

// templates are the files of a new plugin, in a directory per language; those
// beside the directories are for all. gitignore gets its dot when it is written.
//
//go:embed templates
var templates embed.FS

// languages are what a new plugin can be written in.
var languages = map[string]language{
	"go": {
		said: "Go", development: func(name string) string { return "./" + name },
		next: [][2]string{
			{"go mod tidy && go build -o NAME . && go test ./...", "build and test it"},
			{"switchboard plugins test ./NAME", "hold it to what every plugin must keep to"},
		},
	},
	"python": {
		said: "Python", development: func(string) string { return "./src/plugin.py" },
		beside: pythonplugin.Line,
		next: [][2]string{
			{"apt install python3-grpcio python3-protobuf python3-cryptography", "what it needs"},
			{"PYTHONPATH=src /usr/bin/python3 -B -m unittest discover tests", "test it"},
			{"switchboard plugins test ./src/plugin.py", "hold it to what every plugin must keep to"},
		},
	},
}

type language struct {
	said string
	// development is the program that runs while the plugin is being written.
	development func(name string) string
	// beside are files that are written as they are.
	beside fs.FS
	// next are commands and what each is for; NAME stands for the plugin.
	next [][2]string
}

// scaffold is what the templates have.
type scaffold struct {
	Name        string
	Development string
	// Go is the version of the language, Require that of the SDK; empty: what
	// `go mod tidy` finds. SDK is a checkout; empty: the published module.
	Go, Require, SDK string
}

func newPluginsNew() *cobra.Command {
	var lang, sdk, dir string
	c := &cobra.Command{
		Use: "new NAME", Short: "Write a plugin to begin with, that works and has a test", Args: exactly(1),
		Long: `Write a plugin that works, with a test, a README that leads from building it to
running it, and a configuration to try it with. Nothing is overwritten.`,
		Example: `  switchboard plugins new greeter
  switchboard plugins new greeter --lang python
  switchboard plugins new greeter --sdk ~/src/switchboard     with the SDK of a checkout`,
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			l, ok := languages[lang]
			if !ok {
				return usagef("--lang %q is no language that there is a plugin in: %s", lang, config.Hint(lang, names(languages)))
			}
			if err := config.CheckPluginName(name); err != nil {
				return usagef("%w", err)
			}
			s := scaffold{Name: name, Development: l.development(name), Go: "1.26"}
			switch {
			case sdk != "" && lang != "go":
				return usagef("--sdk is for Go: a plugin in %s has its side of the line in its own directory", l.said)
			case sdk != "":
				var err error
				if s.SDK, err = checkout(sdk); err != nil {
					return err
				}
				s.Require = "v0.0.0"
			case !strings.HasSuffix(version, "-dev"):
				s.Require = "v" + strings.TrimPrefix(version, "v")
			}
			if dir == "" {
				dir = name
			}
			if err := s.write(dir, lang, l); err != nil {
				return err
			}
			return s.next(c.OutOrStdout(), dir, l)
		},
	}
	c.Flags().StringVar(&lang, "lang", "go", "what it is written in: "+strings.Join(names(languages), " or "))
	c.Flags().StringVar(&sdk, "sdk", "", "a checkout of Switchboard, whose SDK a plugin in Go is built with")
	c.Flags().StringVar(&dir, "dir", "", "the directory to write it to, which is made (default NAME)")
	complete(c, "lang", func(*cobra.Command) []string { return names(languages) })
	must(c.MarkFlagDirname("sdk"))
	must(c.MarkFlagDirname("dir"))
	return c
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+` + regexp.QuoteMeta(module) + `\s*$`)

// checkout returns the absolute path of one.
func checkout(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("--sdk: %w", err)
	}
	mod, err := os.ReadFile(filepath.Join(path, "go.mod"))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !moduleLine.Match(mod):
		return "", usagef("--sdk %s is no checkout of Switchboard: name the directory with the go.mod of %s", path, module)
	case err != nil:
		return "", fmt.Errorf("--sdk: %w", err)
	}
	return path, nil
}

// write makes the directory and writes the plugin into it. What is in the
// directory already is a reason to write nothing.
func (s scaffold) write(dir, lang string, l language) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file: --dir names another directory", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the plugin: %w", err)
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("write the plugin: %w", err)
	}
	if len(there) > 0 {
		return fmt.Errorf("%s is there already and not empty: --dir names another directory", dir)
	}
	parsed, err := template.ParseFS(templates, "templates/dev.yaml.tmpl")
	if err != nil {
		return err
	}
	if err := s.fill(parsed, filepath.Join(dir, "dev.yaml")); err != nil {
		return err
	}
	own, err := fs.Sub(templates, "templates/"+lang)
	if err != nil {
		return err
	}
	err = each(own, func(name string) error {
		parsed, err := template.ParseFS(own, name)
		if err != nil {
			return err
		}
		to := strings.TrimSuffix(name, ".tmpl")
		if to == "gitignore" {
			to = ".gitignore"
		}
		return s.fill(parsed, filepath.Join(dir, to))
	})
	if err != nil || l.beside == nil {
		return err
	}
	return each(l.beside, func(name string) error {
		data, err := fs.ReadFile(l.beside, name)
		if err != nil {
			return err
		}
		return writeNew(filepath.Join(dir, name), string(data))
	})
}

// each calls fn for each file.
func each(files fs.FS, fn func(name string) error) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return fn(name)
	})
}

func (s scaffold) fill(t *template.Template, file string) error {
	var text strings.Builder
	if err := t.Execute(&text, s); err != nil {
		return err
	}
	return writeNew(file, text.String())
}

// writeNew writes a file that is not there, in a directory that may not be. One
// that begins with #! can be executed.
func writeNew(file, text string) error {
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode); err == nil {
			_, err = io.WriteString(f, text)
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("write the plugin: %w", err)
	}
	return nil
}

// next says what there is to do with the plugin.
func (s scaffold) next(out io.Writer, dir string, l language) error {
	fmt.Fprintf(out, "wrote %s, a plugin in %s; next:\n", dir, l.said)
	w := newTable(out)
	fmt.Fprintf(w, "  cd %s\t\n", dir)
	for _, n := range l.next {
		fmt.Fprintf(w, "  %s\t%s\n", strings.ReplaceAll(n[0], "NAME", s.Name), n[1])
	}
	fmt.Fprintf(w, "  README.md\thow to try it, and how a bridge runs it\n")
	return w.Flush()
}
