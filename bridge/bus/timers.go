package bus

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

// Timer is what a plugin wants to be told at a time. The bus keeps it, and
// tells nothing.
type Timer struct {
	Key  string
	At   time.Time
	Data []byte
}

// timerHead is how many bytes of an entry its time takes: seconds since 1970
// and nanoseconds, both big endian.
const timerHead = 8 + 4

// SetTimer keeps a timer of a plugin, in place of one of the same key, and
// returns when it is on disk, or [ErrStoreFull] where it does not fit.
func (b *Bus) SetTimer(ctx context.Context, plugin string, t Timer) error {
	value := make([]byte, 0, timerHead+len(t.Data))
	value = binary.BigEndian.AppendUint64(value, uint64(t.At.Unix()))
	value = binary.BigEndian.AppendUint32(value, uint32(t.At.Nanosecond()))
	value = append(value, t.Data...)
	if err := b.keep(ctx, plugin, timerKey(plugin, t.Key), value, int64(len(t.Key)+len(t.Data)+entryCost)); err != nil {
		return fmt.Errorf("write timer %q of plugin %s: %w", t.Key, plugin, err)
	}
	return nil
}

// RemoveTimer removes a timer of a plugin, if it is there.
func (b *Bus) RemoveTimer(ctx context.Context, plugin, key string) error {
	if err := b.drop(ctx, plugin, timerKey(plugin, key)); err != nil {
		return fmt.Errorf("remove timer %q of plugin %s: %w", key, plugin, err)
	}
	return nil
}

// Timers are all timers of a plugin, in the order in which they were set.
func (b *Bus) Timers(ctx context.Context, plugin string) ([]Timer, error) {
	var list []Timer
	for m, err := range b.kept(ctx, plugin+timers+">") {
		if err != nil {
			return nil, fmt.Errorf("read the timers of plugin %s: %w", plugin, err)
		}
		key, ours := timerOf(plugin, m.key)
		if !ours || len(m.value) < timerHead {
			b.log.Warn("a timer that cannot be read is passed over", "plugin", plugin, "key", m.key)
			continue
		}
		at := time.Unix(int64(binary.BigEndian.Uint64(m.value)), int64(binary.BigEndian.Uint32(m.value[8:])))
		list = append(list, Timer{Key: key, At: at.UTC(), Data: m.value[timerHead:]})
	}
	return list, nil
}
