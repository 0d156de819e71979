//go:build !linux

package badplugins

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

// baseDir is where the rows' directories are made. Sockets are in them, so that
// the path must be short.
func baseDir() string { return "/tmp" }

// processes are those with all of these among their arguments, each with its id.
func processes(with ...string) (list []string, err error) {
	out, err := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if containsAll(line, with) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list, nil
}
