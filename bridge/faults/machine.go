package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Ports are taken from below those that systems give to clients: a port that a
// bridge had must not be anybody's while the bridge is down.
const firstPort, lastPort = 20_000, 32_000

// freePort finds a port of the loopback that nobody listens at.
func freePort() (int, error) {
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// fill leaves no room on the file system of the directory, and returns the file
// that takes it.
func fill(dir string) (path string, err error) {
	path = filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("fill the disk: %w", err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2] // what is left takes smaller blocks
		case err != nil:
			return "", errors.Join(fmt.Errorf("fill the disk: %w", err), f.Close())
		}
	}
	return path, f.Close()
}
