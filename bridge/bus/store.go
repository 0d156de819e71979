package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What plugins keep is in one bucket: under {plugin}.{key} what they put there,
// under {plugin}.=timer.{key} their timers. A written key has no dot, so that
// none of a plugin's is that of a timer, or another plugin's.

// Errors of what plugins keep.
var (
	// ErrNoKey says that there is nothing under a key.
	ErrNoKey = errors.New("no such key")
	// ErrStoreFull says that a plugin keeps as much as it may.
	ErrStoreFull = errors.New("the plugin's store is full")
)

const (
	// StoreQuota is how much a plugin may keep that no quota was set for, in
	// bytes.
	StoreQuota = 16 * mib
	// entryCost is what an entry counts beside its key and value: about what
	// the server needs for it.
	entryCost = 64
	// markerLife is how long the server keeps that a key was deleted. Kept for
	// ever, they would fill the bucket.
	markerLife = 10 * time.Second
)

// SetStoreQuota says how many bytes a plugin may keep: keys, values and timers,
// and 64 for each of them; 0: [StoreQuota]. What is over it already stays.
func (b *Bus) SetStoreQuota(plugin string, bytes int64) {
	if bytes <= 0 {
		bytes = StoreQuota
	}
	s := b.shelf(plugin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = bytes
}

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

// Put keeps a value for a plugin and returns when it is on disk, or
// [ErrStoreFull] where it does not fit.
func (b *Bus) Put(ctx context.Context, plugin, key string, value []byte) error {
	if err := b.keep(ctx, plugin, bucketKey(plugin, key), value, int64(len(key)+len(value)+entryCost)); err != nil {
		return fmt.Errorf("write key %q of plugin %s: %w", key, plugin, err)
	}
	return nil
}

// Delete removes what a plugin keeps under a key, if there is anything.
func (b *Bus) Delete(ctx context.Context, plugin, key string) error {
	if err := b.drop(ctx, plugin, bucketKey(plugin, key)); err != nil {
		return fmt.Errorf("delete key %q of plugin %s: %w", key, plugin, err)
	}
	return nil
}

// StoreKeys are up to limit keys of a plugin that begin with the prefix and come
// after another (empty: from the first), by their bytes. more says that there
// are more.
func (b *Bus) StoreKeys(ctx context.Context, plugin, prefix, after string, limit int) (keys []string, more bool, err error) {
	s := b.shelf(plugin)
	if err := b.write(ctx, s, func() error { return nil }); err != nil {
		return nil, false, fmt.Errorf("list the keys of plugin %s: %w", plugin, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, found := slices.BinarySearch(s.keys, max(prefix, after))
	if found && after >= prefix {
		from++
	}
	for _, key := range s.keys[from:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if len(keys) == limit {
			return keys, true, nil
		}
		keys = append(keys, key)
	}
	return keys, false, nil
}

// StoreUsed is how many bytes of its quota a plugin uses.
func (b *Bus) StoreUsed(ctx context.Context, plugin string) (used, quota int64, err error) {
	s := b.shelf(plugin)
	if err := b.write(ctx, s, func() error { return nil }); err != nil {
		return 0, 0, fmt.Errorf("count what plugin %s keeps: %w", plugin, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.quota, nil
}

// keep writes an entry of that size.
func (b *Bus) keep(ctx context.Context, plugin, bucketKey string, value []byte, size int64) error {
	s := b.shelf(plugin)
	return b.write(ctx, s, func() error {
		if err := s.room(bucketKey, size); err != nil {
			return err
		}
		if _, err := b.store.Put(ctx, bucketKey, value); err != nil {
			s.doubt(bucketKey)
			return err
		}
		s.set(bucketKey, size)
		return nil
	})
}

// drop removes an entry.
func (b *Bus) drop(ctx context.Context, plugin, bucketKey string) error {
	s := b.shelf(plugin)
	return b.write(ctx, s, func() error {
		if !s.has(bucketKey) {
			return nil
		}
		if err := b.store.Purge(ctx, bucketKey, jetstream.PurgeTTL(markerLife)); err != nil {
			s.doubt(bucketKey)
			return err
		}
		s.unset(bucketKey)
		return nil
	})
}
