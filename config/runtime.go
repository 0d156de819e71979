package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// maxRuntimeDir leaves room for a name in a Unix socket's path, of which the
// system takes little over a hundred bytes.
const maxRuntimeDir = 80

// RuntimeDir is the absolute path of the directory for sockets: run in the data
// directory or, where that path is too long for a socket, one in the temporary
// directory that is named for the user and the data directory. It needs no more
// than DataDir.
func (c *Config) RuntimeDir() string {
	data := absolute(c.DataDir)
	if dir := filepath.Join(data, "run"); len(dir) <= maxRuntimeDir {
		return dir
	}
	sum := sha256.Sum256([]byte(data))
	return filepath.Join(os.TempDir(), fmt.Sprintf("switchboard-%d-%x", os.Getuid(), sum[:6]))
}

// APISocket is the path of the socket at which a running bridge is reached.
func (c *Config) APISocket() string { return filepath.Join(c.RuntimeDir(), "api.sock") }

// absolute falls back to the path itself where the working directory is gone.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
