package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

var (
	_ host.Actions = (*parts)(nil)
	_ host.Store   = (*parts)(nil)
	_ host.Timers  = (*parts)(nil)
	_ host.Backend = (*parts)(nil)
)

// Wait is [host.Actions]: here, every action is confirmed at once, unless the
// test says otherwise.
func (p *parts) Wait(_ context.Context, sender, account, id string) (event.Type, []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.actions, func(a event.Action) bool { return a.Account == account && a.ID == id })
	if i < 0 {
		return "", nil, host.ErrNotFound
	}
	a := p.actions[i]
	kind, reason := event.ActionConfirmed, ""
	if p.result != nil {
		kind, reason = p.result(a)
	}
	data, err := json.Marshal(event.ActionResult{
		ID: id, Type: a.Type, Account: account, Conversation: a.Conversation, By: sender, Attempts: 1, Reason: reason,
	})
	return kind, data, err
}

// Keys is [host.Store].
func (p *parts) Keys(_ context.Context, _, prefix, after string, limit int) ([]string, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(p.store)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if len(keys) == limit {
			return keys, true, nil
		}
		keys = append(keys, key)
	}
	return keys, false, nil
}

// Set is [host.Timers].
func (p *parts) Set(_ context.Context, _ string, t host.Timer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Data = bytes.Clone(t.Data)
	p.timers[t.Key] = t
	return nil
}

// Remove is [host.Timers].
func (p *parts) Remove(_ context.Context, _, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.timers, key)
	return nil
}

// All is [host.Timers].
func (p *parts) All(context.Context, string) ([]host.Timer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.timers)), nil
}

// LookUp is [host.Backend].
func (p *parts) LookUp(_ context.Context, account, conversation string) (host.Conversation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.conversations[account+"\x00"+conversation]
	if !ok {
		return host.Conversation{}, host.ErrNotFound
	}
	return c, nil
}
