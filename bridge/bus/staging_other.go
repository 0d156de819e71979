//go:build !linux

package bus

import "errors"

func stage(string, ...string) error { return errors.ErrUnsupported }

func unstage(string) error { return nil }
