package main

import (
	"context"
	"errors"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// actions joins the host to the door of the outbox.
type actions struct{ *outbox.Door }

var _ host.Actions = actions{}

func (a actions) Wait(context.Context, string, string, string) (event.Type, []byte, error) {
	return "", nil, errors.ErrUnsupported
}

// store joins the plugins' store to the bus.
type store struct{ *bus.Bus }

var _ host.Store = store{}

func (s store) Get(ctx context.Context, plugin, key string) ([]byte, error) {
	v, err := s.Bus.Get(ctx, plugin, key)
	if errors.Is(err, bus.ErrNoKey) {
		return nil, host.ErrNotFound
	}
	return v, err
}

func (s store) Keys(context.Context, string, string, string, int) ([]string, bool, error) {
	return nil, false, errors.ErrUnsupported
}

// timers joins the plugins' timers to the bus.
type timers struct{ *bus.Bus }

var _ host.Timers = timers{}

func (t timers) Set(context.Context, string, host.Timer) error { return errors.ErrUnsupported }

func (t timers) Remove(context.Context, string, string) error { return errors.ErrUnsupported }

func (t timers) All(context.Context, string) ([]host.Timer, error) { return nil, nil }

// backend joins the host to the accounts' backends.
type backend struct{ *bridge.Bridge }

var _ host.Backend = backend{}

func (b backend) LookUp(context.Context, string, string) (host.Conversation, error) {
	return host.Conversation{}, errors.ErrUnsupported
}
