//go:build unix && !linux

package main

import "syscall"

// bridgeAttributes cannot bind the bridge's life to the demo's here. What a
// terminal interrupts is the demo, which tells the bridge.
func bridgeAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
