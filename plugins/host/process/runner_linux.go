package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Self is the path of the running executable, for starting it again: the file
// that runs, even when another has been installed in its place.
func Self() string { return "/proc/self/exe" }

func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits for the process and kills what it leaves of its group. That is
// done before its status is collected: until then nobody else can have its id.
func (c *child) reap() {
	pid := c.cmd.Process.Pid
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	unix.Kill(-pid, unix.SIGKILL)
	c.cmd.Wait()
	c.ended = true
}
