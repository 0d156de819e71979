//go:build unix && !linux

package process

import (
	"os"
	"syscall"
)

// Self is the path of the running executable, for starting it again. Where the
// file was replaced, that is the new one.
func Self() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// sysProcAttr cannot bind the process's life to the host's here: that is the
// plugin's own business.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (c *child) launch() error { return c.cmd.Start() }

// reap waits for the process and kills what it leaves of its group.
func (c *child) reap() {
	c.cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	c.ended = true
}
