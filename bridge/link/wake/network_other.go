//go:build !linux

package wake

import (
	"context"
	"errors"
)

// watchNetwork is of Linux alone.
func watchNetwork(context.Context, func()) error {
	return errors.New("this system does not tell of it")
}
