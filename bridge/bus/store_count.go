package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// shelf is what one plugin keeps, counted. It is read from the bucket when it
// is first needed; from then on every write goes through here, one at a time.
type shelf struct {
	plugin string
	// writing is held by who writes, and loaded belongs to it.
	writing chan struct{}
	loaded  bool

	mu    sync.Mutex
	quota int64
	used  int64
	sizes map[string]int64 // by the key in the bucket, timers among them
	keys  []string         // the plugin's own, in the order of their bytes
	// doubtful are those of which nobody knows whether they were written.
	doubtful map[string]struct{}
}

func (b *Bus) shelf(plugin string) *shelf {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.shelves[plugin]
	if s == nil {
		s = &shelf{
			plugin: plugin, writing: make(chan struct{}, 1), quota: StoreQuota,
			sizes: map[string]int64{}, doubtful: map[string]struct{}{},
		}
		if b.shelves == nil {
			b.shelves = map[string]*shelf{}
		}
		b.shelves[plugin] = s
	}
	return s
}

// write calls fn while nobody else writes what the plugin keeps, and it is
// known what that is.
func (b *Bus) write(ctx context.Context, s *shelf, fn func() error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !s.loaded {
		if err := b.load(ctx, s); err != nil {
			return fmt.Errorf("count what it keeps: %w", err)
		}
		s.loaded = true
	}
	for key := range s.doubtful {
		entry, err := b.store.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			s.unset(key)
		case err != nil:
			return fmt.Errorf("count what it keeps: %w", err)
		default:
			s.set(key, sizeOf(s.plugin, key, len(entry.Value())))
		}
		delete(s.doubtful, key)
	}
	return fn()
}

// load counts what the bucket has of the plugin.
func (b *Bus) load(ctx context.Context, s *shelf) error {
	used, sizes, keys := int64(0), map[string]int64{}, []string(nil)
	for m, err := range b.kept(ctx, s.plugin+".>") {
		if err != nil {
			return err
		}
		size := sizeOf(s.plugin, m.key, len(m.value))
		used, sizes[m.key] = used+size, size
		if key, ours := keyOf(s.plugin, m.key); ours {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used, s.sizes, s.keys = used, sizes, keys
	return nil
}

// kept is an entry of the bucket.
type kept struct {
	key   string
	value []byte
}

// kept gives the entries of the bucket whose keys match.
func (b *Bus) kept(ctx context.Context, keys string) iter.Seq2[kept, error] {
	stream, subjects := "KV_"+b.streams.bucket, "$KV."+b.streams.bucket+"."
	return func(yield func(kept, error) bool) {
		for m, err := range b.read(ctx, stream, jetstreamext.GetBatchSubject(subjects+keys)) {
			if err != nil {
				yield(kept{}, err)
				return
			}
			if m.Header.Get(headerKVOperation) != "" { // it was deleted
				continue
			}
			if !yield(kept{strings.TrimPrefix(m.Subject, subjects), m.Data}, nil) {
				return
			}
		}
	}
}

// headerKVOperation is how a bucket says that a key was deleted.
const headerKVOperation = "KV-Operation"

// sizeOf is what an entry counts whose value in the bucket has so many bytes.
func sizeOf(plugin, bucketKey string, value int) int64 {
	if key, ours := keyOf(plugin, bucketKey); ours {
		return int64(len(key) + value + entryCost)
	}
	if key, ours := timerOf(plugin, bucketKey); ours {
		return int64(len(key) + value - timerHead + entryCost)
	}
	return int64(len(bucketKey) + value + entryCost) // none of ours
}

// room says why an entry of that size does not fit. One that takes no more than
// it did always does.
func (s *shelf) room(bucketKey string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := size - s.sizes[bucketKey]
	if more <= 0 || s.used+more <= s.quota {
		return nil
	}
	return fmt.Errorf("%w: it uses %d of %d bytes, and this needs %d more; delete what is not needed, or have the operator raise plugins.%s.store",
		ErrStoreFull, s.used, s.quota, more, s.plugin)
}

func (s *shelf) has(bucketKey string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sizes[bucketKey]
	return ok
}

func (s *shelf) set(bucketKey string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, known := s.sizes[bucketKey]
	s.used += size - was
	s.sizes[bucketKey] = size
	key, ours := keyOf(s.plugin, bucketKey)
	if known || !ours {
		return
	}
	i, _ := slices.BinarySearch(s.keys, key)
	s.keys = slices.Insert(s.keys, i, key)
}

func (s *shelf) unset(bucketKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, known := s.sizes[bucketKey]
	if !known {
		return
	}
	s.used -= was
	delete(s.sizes, bucketKey)
	key, ours := keyOf(s.plugin, bucketKey)
	if i, found := slices.BinarySearch(s.keys, key); ours && found {
		s.keys = slices.Delete(s.keys, i, i+1)
	}
}

// doubt says that it is not known whether a write was done.
func (s *shelf) doubt(bucketKey string) {
	s.doubtful[bucketKey] = struct{}{}
}
