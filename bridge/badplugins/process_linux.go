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
