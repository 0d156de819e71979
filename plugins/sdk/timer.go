package sdk

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Timer is one that the plugin set.
type Timer struct {
	Key string
	// At is when it was to come.
	At time.Time
	// Data is what was given to Schedule.
	Data []byte
}

// Schedule sets a timer, or sets it anew where one has the key already, and
// returns when it is on disk. When it is due it goes to the plugin's OnTimer:
// after a restart too, and late rather than never. Keys have up to 256 bytes,
// data up to 64 KiB.
func (h *Host) Schedule(ctx context.Context, key string, at time.Time, data []byte) error {
	err := checkKey(key)
	if err == nil {
		err = checkValue(data)
	}
	if err == nil {
		_, err = h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Schedule{
			Schedule: &pluginv1.Schedule{Key: key, At: timestamppb.New(at), Data: data},
		}})
	}
	if err != nil {
		return fmt.Errorf("schedule %q: %w", key, err)
	}
	return nil
}

// Unschedule removes a timer; that it was not there is no error.
func (h *Host) Unschedule(ctx context.Context, key string) error {
	err := checkKey(key)
	if err == nil {
		_, err = h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Unschedule{Unschedule: &pluginv1.Unschedule{Key: key}}})
	}
	if err != nil {
		return fmt.Errorf("unschedule %q: %w", key, err)
	}
	return nil
}
