package host

import (
	"context"
	"fmt"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Bounds of the plugins' store.
const (
	maxKey   = 256
	maxValue = 64 << 10
	// maxKeys is how many keys one answer has.
	maxKeys = 1000
)

func (r *requests) get(ctx context.Context, q *pluginv1.Get) (*pluginv1.Answer, error) {
	if err := checkKey(q.GetKey()); err != nil {
		return nil, err
	}
	value, err := r.parts.Store.Get(ctx, r.spec.Name, q.GetKey())
	if err != nil {
		return nil, err
	}
	return &pluginv1.Answer{Answer: &pluginv1.Answer_Value{Value: &pluginv1.Value{Value: value}}}, nil
}

func (r *requests) put(ctx context.Context, q *pluginv1.Put) error {
	if err := checkKey(q.GetKey()); err != nil {
		return err
	}
	if err := checkValue(q.GetValue()); err != nil {
		return err
	}
	return r.parts.Store.Put(ctx, r.spec.Name, q.GetKey(), q.GetValue())
}

func (r *requests) delete(ctx context.Context, q *pluginv1.Delete) error {
	if err := checkKey(q.GetKey()); err != nil {
		return err
	}
	return r.parts.Store.Delete(ctx, r.spec.Name, q.GetKey())
}

func (r *requests) list(ctx context.Context, q *pluginv1.List) (*pluginv1.Answer, error) {
	keys, more, err := r.parts.Store.Keys(ctx, r.spec.Name, q.GetPrefix(), q.GetAfter(), maxKeys)
	if err != nil {
		return nil, err
	}
	return &pluginv1.Answer{Answer: &pluginv1.Answer_Keys{Keys: &pluginv1.Keys{Keys: keys, More: more}}}, nil
}

func (r *requests) schedule(ctx context.Context, q *pluginv1.Schedule) error {
	if err := checkKey(q.GetKey()); err != nil {
		return err
	}
	if err := checkValue(q.GetData()); err != nil {
		return err
	}
	if err := q.GetAt().CheckValid(); err != nil {
		return fmt.Errorf("%w: when a timer is due: %w", errInvalid, err)
	}
	return r.timers.set(ctx, Timer{Key: q.GetKey(), At: q.GetAt().AsTime(), Data: q.GetData()})
}

func (r *requests) unschedule(ctx context.Context, q *pluginv1.Unschedule) error {
	if err := checkKey(q.GetKey()); err != nil {
		return err
	}
	return r.timers.remove(ctx, q.GetKey())
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("%w: a key has 1 to %d bytes, this has %d", errInvalid, maxKey, len(key))
	}
	return nil
}

func checkValue(value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("%w: value has %d bytes, %d are allowed", errInvalid, len(value), maxValue)
	}
	return nil
}
