package faults

import (
	"fmt"
	"syscall"
)

// attributes have the child die with us: no bridge outlives a harness that was
// killed itself. What a terminal interrupts is the harness, not the child.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// mount gives a directory a file system of its own, of that many bytes.
func mount(dir string, size int64) (unmount func() error, err error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return nil, fmt.Errorf("mount a small file system, for which one must be root and may mount: %w", err)
	}
	return func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}
