package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// environment looks variables up. Nil is the process's own, read anew each
// time.
type environment struct{ vars map[string]string }

func newEnvironment(list []string) *environment {
	if list == nil {
		return nil
	}
	e := &environment{vars: make(map[string]string, len(list))}
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			e.vars[name] = value
		}
	}
	return e
}

func (e *environment) lookup(name string) (string, bool) {
	if e == nil {
		return os.LookupEnv(name)
	}
	value, ok := e.vars[name]
	return value, ok
}

// evaluate returns what a leaf stands for that is written in dir, and what
// expansions have brought into it: nothing if it stands for itself.
func evaluate(text, dir string, env *environment) (value string, brought []string, err error) {
	path, isFile := strings.CutPrefix(text, "file:")
	path, brought, err = expand(path, env.lookup)
	if err != nil || !isFile {
		return path, brought, err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	value, err = readSmall(path)
	if err != nil {
		return "", nil, fmt.Errorf("%s cannot be read: %w: create that file (paths are relative to where they are written), or mend its name", text, err)
	}
	return value, []string{value}, nil
}

// reference is ${NAME} or ${NAME:-default}, or ${ escaped.
var reference = regexp.MustCompile(`\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// expand replaces references and returns the text with what was brought into
// it. os.Expand will not do: it eats $5 and ${{.x}}.
func expand(text string, lookup func(string) (string, bool)) (string, []string, error) {
	var (
		out     strings.Builder
		brought []string
		end     int
	)
	for _, m := range reference.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(text[end:m[0]])
		end = m[1]
		if m[2] < 0 {
			out.WriteString("${")
			continue
		}
		name, hasDefault := text[m[2]:m[3]], m[4] >= 0
		value, ok := lookup(name)
		if hasDefault {
			if strings.Contains(text[m[6]:m[7]], "${") {
				return "", nil, fmt.Errorf("the default of ${%s:-…} holds another ${: a default is plain text", name)
			}
			if value == "" {
				value, ok = text[m[6]:m[7]], true
			}
		}
		if !ok {
			return "", nil, fmt.Errorf("${%s} is not set: set the variable %[1]s, or write ${%[1]s:-default}", name)
		}
		out.WriteString(value)
		brought = append(brought, value)
	}
	out.WriteString(text[end:])
	return out.String(), brought, nil
}

// maxSecretFile bounds what file: reads, so that /dev/zero is an error.
const maxSecretFile = 1 << 20

// readSmall reads a file less its trailing newline. Its errors do not hold the
// path, which may have come of an expansion.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", bare(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", bare(err)
	}
	if len(data) > maxSecretFile {
		return "", errors.New("it has more than 1MiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}

// bare strips the path from a file's error.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
