package main

import (
	"context"
	"errors"

	"github.com/switchboard-dev/switchboard/bridge"
	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// meaning has the host know an error of the bridge for what it is.
func meaning(err error) error {
	for is, means := range map[error]error{
		outbox.ErrLoop: host.ErrLimit, outbox.ErrUnknownAction: host.ErrNotFound,
		bus.ErrNoKey: host.ErrNotFound, bus.ErrStoreFull: host.ErrFull,
		connectors.ErrNotFound: host.ErrNotFound,
	} {
		if errors.Is(err, is) {
			return meant{err, means}
		}
	}
	return err
}

// meant is an error of the bridge that the host knows as one of its own.
type meant struct {
	error
	means error
}

func (m meant) Unwrap() []error { return []error{m.error, m.means} }

// actions joins the host to the door of the outbox.
type actions struct{ *outbox.Door }

var _ host.Actions = actions{}

func (a actions) Act(ctx context.Context, sender string, action event.Action) (bool, error) {
	duplicate, err := a.Door.Act(ctx, sender, action)
	return duplicate, meaning(err)
}

func (a actions) Wait(ctx context.Context, sender, account, id string) (event.Type, []byte, error) {
	t, data, err := a.Door.Wait(ctx, sender, account, id)
	return t, data, meaning(err)
}

// store joins the plugins' store to the bus.
type store struct{ *bus.Bus }

var _ host.Store = store{}

// limit holds the plugins to how much each may keep.
func (s store) limit(specs []host.Spec) {
	for _, spec := range specs {
		s.SetStoreQuota(spec.Name, spec.StoreBytes)
	}
}

func (s store) Get(ctx context.Context, plugin, key string) ([]byte, error) {
	v, err := s.Bus.Get(ctx, plugin, key)
	return v, meaning(err)
}

func (s store) Put(ctx context.Context, plugin, key string, value []byte) error {
	return meaning(s.Bus.Put(ctx, plugin, key, value))
}

func (s store) Keys(ctx context.Context, plugin, prefix, after string, limit int) ([]string, bool, error) {
	return s.StoreKeys(ctx, plugin, prefix, after, limit)
}

// timers joins the plugins' timers to the bus.
type timers struct{ *bus.Bus }

var _ host.Timers = timers{}

func (t timers) Set(ctx context.Context, plugin string, timer host.Timer) error {
	return meaning(t.SetTimer(ctx, plugin, bus.Timer(timer)))
}

func (t timers) Remove(ctx context.Context, plugin, key string) error {
	return t.RemoveTimer(ctx, plugin, key)
}

func (t timers) All(ctx context.Context, plugin string) ([]host.Timer, error) {
	kept, err := t.Timers(ctx, plugin)
	list := make([]host.Timer, len(kept))
	for i, timer := range kept {
		list[i] = host.Timer(timer)
	}
	return list, err
}

// backend joins the host to the accounts' backends.
type backend struct{ *bridge.Bridge }

var _ host.Backend = backend{}

func (b backend) LookUp(ctx context.Context, account, conversation string) (host.Conversation, error) {
	detail, err := b.Bridge.LookUp(ctx, account, conversation)
	if err != nil {
		return host.Conversation{}, meaning(err)
	}
	c := host.Conversation{Data: detail.Conversation.Data}
	for _, m := range detail.Messages {
		c.Messages = append(c.Messages, m.Data)
	}
	return c, nil
}
