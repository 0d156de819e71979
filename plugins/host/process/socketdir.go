package process

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// maxSocket is the longest path that a Unix socket can have: the kernel's
	// array less the terminating zero, 107 on Linux, 103 on darwin.
	maxSocket = len(syscall.RawSockaddrUnix{}.Path) - 1
	// A plugin's go-plugin makes its socket as "plugin" and up to ten digits.
	socketName = len("/plugin4294967295")
	dirName    = 5

	// MaxDir is the most bytes that Command.Dir may have: 84 on Linux, 80 on
	// darwin.
	MaxDir = maxSocket - socketName - dirName - len("/")
)

// makeSocketDir makes a directory of its own for one process's socket. Its
// name is as short as it can be: beyond maxSocket, listening fails with an
// error in the plugin that nobody understands.
func makeSocketDir(base string) (string, error) {
	switch {
	case !filepath.IsAbs(base):
		return "", problem("write the path in full", "runtime directory %q is not absolute", base)
	case len(filepath.Clean(base)) > MaxDir:
		return "", problem("choose a shorter runtime directory",
			"runtime directory %s has %d bytes, and sockets in it allow for %d", base, len(filepath.Clean(base)), MaxDir)
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", fmt.Errorf("make the runtime directory: %w", err)
	}
	for range 100 {
		dir := filepath.Join(base, strings.ToLower(rand.Text()[:dirName]))
		if err := os.Mkdir(dir, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
	return "", problem("remove what earlier runs left there", "no free name in runtime directory %s", base)
}
