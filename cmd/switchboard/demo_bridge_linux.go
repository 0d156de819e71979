package main

import "syscall"

// bridgeAttributes have the bridge die with the demo, however that ends. What a
// terminal interrupts is the demo, which tells the bridge.
func bridgeAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
