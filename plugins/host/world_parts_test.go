package host_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

var (
	_ host.Actions = (*world)(nil)
	_ host.Store   = (*world)(nil)
	_ host.Timers  = (*world)(nil)
	_ host.Backend = (*world)(nil)
)

// result is what became of an action.
type result struct {
	kind event.Type
	data []byte
}

// Act is [host.Actions].
func (w *world) Act(_ context.Context, sender string, a event.Action) (duplicate bool, err error) {
	if err := a.Check(); err != nil {
		return false, err
	}
	w.change(func() {
		if w.accept != nil {
			err = w.accept(a)
		}
		if err != nil {
			return
		}
		duplicate = slices.ContainsFunc(w.actions, func(b action) bool { return b.sender == sender && b.ID == a.ID })
		if !duplicate {
			w.actions = append(w.actions, action{sender, time.Now(), a})
		}
	})
	return duplicate, err
}

// Get is [host.Store].
func (w *world) Get(_ context.Context, plugin, key string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.store[plugin+"/"+key]
	if !ok {
		return nil, host.ErrNotFound
	}
	return []byte(v), nil
}

// Put is [host.Store].
func (w *world) Put(_ context.Context, plugin, key string, value []byte) error {
	w.change(func() { w.store[plugin+"/"+key] = string(value) })
	return nil
}

// Delete is [host.Store].
func (w *world) Delete(_ context.Context, plugin, key string) error {
	w.change(func() { delete(w.store, plugin+"/"+key) })
	return nil
}

// Wait is [host.Actions]. The result is what finish says.
func (w *world) Wait(ctx context.Context, sender, account, id string) (event.Type, []byte, error) {
	for {
		w.mu.Lock()
		known := slices.ContainsFunc(w.actions, func(a action) bool {
			return a.sender == sender && a.Account == account && a.ID == id
		})
		r, ended := w.results[sender+"/"+account+"/"+id]
		changed := w.changed
		w.mu.Unlock()
		if ended {
			return r.kind, r.data, nil
		}
		if !known {
			return "", nil, host.ErrNotFound
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", nil, context.Cause(ctx)
		}
	}
}

// finish says what became of an action.
func (w *world) finish(sender, account, id string, r result) {
	w.change(func() { w.results[sender+"/"+account+"/"+id] = r })
}

// Keys is [host.Store].
func (w *world) Keys(_ context.Context, plugin, prefix, after string, limit int) ([]string, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(w.store)) {
		key, ours := strings.CutPrefix(k, plugin+"/")
		if !ours || !strings.HasPrefix(key, prefix) || key <= after {
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
func (w *world) Set(_ context.Context, plugin string, t host.Timer) error {
	w.change(func() { w.timers[plugin+"/"+t.Key] = t })
	return nil
}

// Remove is [host.Timers].
func (w *world) Remove(_ context.Context, plugin, key string) error {
	w.change(func() { delete(w.timers, plugin+"/"+key) })
	return nil
}

// All is [host.Timers].
func (w *world) All(_ context.Context, plugin string) ([]host.Timer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []host.Timer
	for k, t := range w.timers {
		if strings.HasPrefix(k, plugin+"/") {
			list = append(list, t)
		}
	}
	return list, nil
}

// LookUp is [host.Backend].
func (w *world) LookUp(_ context.Context, account, conversation string) (host.Conversation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.conversations[account+"/"+conversation]
	if !ok {
		return host.Conversation{}, host.ErrNotFound
	}
	return c, nil
}

// timersOf are the keys of the plugin's timers, in order.
func (w *world) timersOf(plugin string) string {
	list, _ := w.All(context.Background(), plugin)
	keys := make([]string, 0, len(list))
	for _, t := range list {
		keys = append(keys, t.Key)
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}
