package badplugins

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// attributes have the child die with us: no bridge outlives a harness that was
// killed itself. What a terminal interrupts is the harness, not the child.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// memory is a file system in memory that most systems have, and room what must
// be free in it, in bytes.
const (
	memory = "/dev/shm"
	room   = 1 << 30
)

// baseDir is where the rows' directories are made: in memory, where that has
// room, for it is not the disk that is measured, which others may keep busy.
// Sockets are in them, so that the path must be short.
func baseDir() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && int64(fs.Bavail)*fs.Bsize > room {
		return memory
	}
	return "/tmp"
}

// processes are those with all of these among their arguments, each with its id.
func processes(with ...string) (list []string, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		args, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		line := string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
		if containsAll(line, with) {
			list = append(list, fmt.Sprintf("%s: %s", filepath.Base(filepath.Dir(file)), strings.TrimSpace(line)))
		}
	}
	return list, nil
}
