package sdk

import (
	"context"
	"fmt"
	"iter"
	"unicode/utf8"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Get returns what the plugin stored under key, or [ErrNotFound].
func (h *Host) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	ans, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Get{Get: &pluginv1.Get{Key: key}}})
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	return ans.GetValue().GetValue(), nil
}

// Put stores value under key and returns when it is on disk. Keys have up to
// 256 bytes, values up to 64 KiB; [ErrLimit] says that the store is full. What
// is stored survives restarts and belongs to the plugin alone.
func (h *Host) Put(ctx context.Context, key string, value []byte) error {
	err := checkKey(key)
	if err == nil {
		err = checkValue(value)
	}
	if err == nil {
		_, err = h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Put{Put: &pluginv1.Put{Key: key, Value: value}}})
	}
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	return nil
}

// Delete removes what is under key; that nothing was there is no error.
func (h *Host) Delete(ctx context.Context, key string) error {
	err := checkKey(key)
	if err == nil {
		_, err = h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Delete{Delete: &pluginv1.Delete{Key: key}}})
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

// Keys are the keys that begin with prefix, in order. It reads them page by
// page; an error is the last that it yields. What is put or deleted meanwhile
// may be among them or not.
func (h *Host) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for after, more := "", true; more; {
			ans, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_List{
				List: &pluginv1.List{Prefix: prefix, After: after},
			}})
			if err != nil {
				yield("", fmt.Errorf("list keys %q: %w", prefix, err))
				return
			}
			for _, key := range ans.GetKeys().GetKeys() {
				if !yield(key, nil) {
					return
				}
				after = key
			}
			more = ans.GetKeys().GetMore() && len(ans.GetKeys().GetKeys()) > 0
		}
	}
}

// Bounds of the store. The host holds them too; here, they keep what gRPC
// cannot carry from breaking the line.
const (
	maxKey   = 256
	maxValue = 64 << 10
)

func checkKey(key string) error {
	switch {
	case key == "" || len(key) > maxKey:
		return fmt.Errorf("%w: a key has 1 to %d bytes, this has %d", ErrInvalid, maxKey, len(key))
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: a key must be UTF-8", ErrInvalid)
	}
	return nil
}

func checkValue(value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("%w: it has %d bytes, %d are allowed", ErrInvalid, len(value), maxValue)
	}
	return nil
}
