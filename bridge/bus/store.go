package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoKey says that there is nothing under a key.
var ErrNoKey = errors.New("no such key")

// Get returns what a plugin keeps under a key, or [ErrNoKey].
func (b *Bus) Get(ctx context.Context, plugin, key string) ([]byte, error) {
	entry, err := b.store.Get(ctx, bucketKey(plugin, key))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("read key %q of plugin %s: %w", key, plugin, err)
	}
	return entry.Value(), nil
}

// Put keeps a value for a plugin and returns when it is on disk.
func (b *Bus) Put(ctx context.Context, plugin, key string, value []byte) error {
	if _, err := b.store.Put(ctx, bucketKey(plugin, key), value); err != nil {
		return fmt.Errorf("write key %q of plugin %s: %w", key, plugin, err)
	}
	return nil
}

// Delete removes what a plugin keeps under a key, if there is anything.
func (b *Bus) Delete(ctx context.Context, plugin, key string) error {
	if err := b.store.Purge(ctx, bucketKey(plugin, key)); err != nil {
		return fmt.Errorf("delete key %q of plugin %s: %w", key, plugin, err)
	}
	return nil
}
