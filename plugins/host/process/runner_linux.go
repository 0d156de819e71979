package process

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Self is the path of the running executable, for starting it again: the file
// that runs, even when another has been installed in its place.
func Self() string { return "/proc/self/exe" }

func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// launch starts the process as the first of a PID namespace, where the host may
// make one: with it end all its descendants, wherever they have moved. That
// needs CAP_SYS_ADMIN. A user namespace, which would lend it to any host, is not
// made: in it the files of others have no owner, and programs that are setuid
// none of their powers.
//
// The host, which is outside, sees and signals it as any process; Pdeathsig and
// SIGSTOP work as they do elsewhere. To the plugin its own id is 1; signals that
// it sends to itself and has no handler for do nothing, and orphans that end
// stay as zombies until it does, as in any container without an init.
func (c *child) launch() error {
	if c.shared {
		return c.cmd.Start()
	}
	c.cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	err := c.cmd.Start()
	if !namespaceDenied(err) {
		return err
	}
	c.log.Debug("plugin has no PID namespace: what it starts in other process groups may outlive it", "error", err)
	again := *c.cmd.SysProcAttr
	again.Cloneflags &^= unix.CLONE_NEWPID
	c.cmd = &exec.Cmd{ // one starts once
		Path: c.cmd.Path, Args: c.cmd.Args, Env: c.cmd.Env, Stdout: c.cmd.Stdout, Stderr: c.cmd.Stderr, SysProcAttr: &again,
	}
	return c.cmd.Start()
}

// namespaceDenied reports whether a process was not started for want of a
// namespace: it is not permitted, there are too many or too deep ones, or the
// kernel has none. Where the reason is another, it will be told again.
func namespaceDenied(err error) bool {
	for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
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
