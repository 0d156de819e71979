//go:build !linux

package faults

import (
	"errors"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func mount(string, int64) (func() error, error) {
	return nil, errors.New("mount a small file system: only on Linux")
}
