package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/bus"
)

// keep puts a value that has room.
func keep(t *testing.T, b *bus.Bus, plugin, key, value string) {
	t.Helper()
	if err := b.Put(t.Context(), plugin, key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func used(t *testing.T, b *bus.Bus, plugin string) int64 {
	t.Helper()
	n, _, err := b.StoreUsed(t.Context(), plugin)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// strange are keys that a bucket could not have as they are.
var strange = []string{"a", "a.b", "a=2Eb", "=", "=timer.a", "ü/ß", " ", "*", ">", "$", "a\nb", strings.Repeat("€", 85)}

func TestAnyTextIsAKeyAndPluginsAreApart(t *testing.T) {
	b := open(t)
	for _, plugin := range []string{"p", "p-2"} {
		for _, key := range strange {
			keep(t, b, plugin, key, plugin+"/"+key)
		}
	}
	if err := b.SetTimer(t.Context(), "p", bus.Timer{Key: "a", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "p-2", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), "p-2", "a"); !errors.Is(err, bus.ErrNoKey) {
		t.Errorf("what was deleted: %v", err)
	}
	for _, key := range strange {
		if v, err := b.Get(t.Context(), "p", key); err != nil || string(v) != "p/"+key {
			t.Errorf("under %q is %q, %v", key, v, err)
		}
	}
	keys, more, err := b.StoreKeys(t.Context(), "p", "", "", 1000)
	if want := slices.Sorted(slices.Values(strange)); err != nil || more || !slices.Equal(keys, want) {
		t.Errorf("keys %q, more %t, %v; want %q", keys, more, err, want)
	}
}

func TestKeysAreListedByPrefixPageByPage(t *testing.T) {
	b := open(t)
	for _, key := range []string{"b", "a/3", "a/1", "a/2", "a", "a0"} {
		keep(t, b, "p", key, "")
	}
	tests := []struct {
		prefix, after string
		limit         int
		want          string
		more          bool
	}{
		{"", "", 10, "a a/1 a/2 a/3 a0 b", false},
		{"", "", 2, "a a/1", true},
		{"", "a/1", 2, "a/2 a/3", true},
		{"a/", "", 2, "a/1 a/2", true},
		{"a/", "a/2", 2, "a/3", false},
		{"a/", "a/25", 2, "a/3", false},
		{"a/", "a", 3, "a/1 a/2 a/3", false},
		{"a/", "b", 3, "", false},
		{"c", "", 3, "", false},
		{"a", "a", 3, "a/1 a/2 a/3", true},
	}
	for _, tt := range tests {
		keys, more, err := b.StoreKeys(t.Context(), "p", tt.prefix, tt.after, tt.limit)
		if err != nil || strings.Join(keys, " ") != tt.want || more != tt.more {
			t.Errorf("%q after %q: %q, more %t, %v; want %q, more %t", tt.prefix, tt.after, keys, more, err, tt.want, tt.more)
		}
	}
}

func TestAStoreHasItsQuota(t *testing.T) {
	b := open(t)
	ctx := t.Context()
	b.SetStoreQuota("p", 1000)
	keep(t, b, "p", "key", strings.Repeat("x", 800)) // 867 with its 64
	err := b.Put(ctx, "p", "more", make([]byte, 100))
	if !errors.Is(err, bus.ErrStoreFull) || !strings.Contains(err.Error(), "uses 867 of 1000 bytes, and this needs 168 more") {
		t.Errorf("what does not fit: %v", err)
	}
	if err := b.SetTimer(ctx, "p", bus.Timer{Key: "t", At: time.Now(), Data: make([]byte, 100)}); !errors.Is(err, bus.ErrStoreFull) {
		t.Errorf("a timer that does not fit: %v", err)
	}
	keep(t, b, "p", "key", strings.Repeat("x", 933)) // to the last byte
	if err := b.Put(ctx, "p", "key", make([]byte, 934)); !errors.Is(err, bus.ErrStoreFull) {
		t.Errorf("a byte too much: %v", err)
	}
	b.SetStoreQuota("p", 100)
	keep(t, b, "p", "key", strings.Repeat("x", 500)) // smaller than it was
	if err := b.Delete(ctx, "p", "key"); err != nil {
		t.Fatal(err)
	}
	if n := used(t, b, "p"); n != 0 {
		t.Errorf("%d bytes used by nothing", n)
	}
	keep(t, b, "p", "more", "")
	keep(t, b, "q", "key", strings.Repeat("x", 60_000)) // another's has room
}

// Whoever writes and deletes what, at once, the count is what a new start
// counts, and what there is.
func TestTheCountIsExact(t *testing.T) {
	dir := t.TempDir()
	b := open(t, func(o *bus.Options) { o.DataDir = dir })
	var working sync.WaitGroup
	for range 8 {
		working.Go(func() {
			for range 60 {
				key, size := strange[rand.IntN(len(strange))], rand.IntN(500)
				var err error
				switch rand.IntN(6) {
				case 0:
					err = b.Delete(t.Context(), "p", key)
				case 1:
					err = b.SetTimer(t.Context(), "p", bus.Timer{Key: key, At: time.Now(), Data: make([]byte, size)})
				case 2:
					err = b.RemoveTimer(t.Context(), "p", key)
				default:
					err = b.Put(t.Context(), "p", key, make([]byte, size))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	var is int64
	keys, _, err := b.StoreKeys(t.Context(), "p", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		v, err := b.Get(t.Context(), "p", key)
		if err != nil {
			t.Fatal(err)
		}
		is += int64(len(key) + len(v) + 64)
	}
	timers, err := b.Timers(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	for _, timer := range timers {
		is += int64(len(timer.Key) + len(timer.Data) + 64)
	}
	if n := used(t, b, "p"); n != is {
		t.Errorf("%d bytes are counted, %d are kept", n, is)
	}
	closeBus(t, b)
	again := open(t, func(o *bus.Options) { o.DataDir = dir })
	if n := used(t, again, "p"); n != is {
		t.Errorf("after a restart %d bytes are counted, %d are kept", n, is)
	}
}

func TestTimersAreKeptOverARestart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, func(o *bus.Options) { o.DataDir = dir })
	ctx := t.Context()
	at := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	want := map[string]bus.Timer{}
	for i, key := range strange {
		timer := bus.Timer{Key: key, At: at.AddDate(-i*300, 0, 0), Data: bytes.Repeat([]byte{byte(i)}, i)}
		want[key] = timer
		if err := b.SetTimer(ctx, "p", timer); err != nil {
			t.Fatal(err)
		}
	}
	large := bus.Timer{Key: "a", At: at, Data: make([]byte, 64<<10)}
	want["a"] = large
	for _, err := range []error{
		b.SetTimer(ctx, "p", large), b.SetTimer(ctx, "p-2", bus.Timer{Key: "a"}), b.Put(ctx, "p", "a", nil),
		b.SetTimer(ctx, "p", bus.Timer{Key: "gone", At: at}), b.RemoveTimer(ctx, "p", "gone"), b.RemoveTimer(ctx, "p", "never"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	closeBus(t, b)
	again := open(t, func(o *bus.Options) { o.DataDir = dir })
	timers, err := again.Timers(ctx, "p")
	if err != nil || len(timers) != len(want) {
		t.Fatalf("%d timers, want %d: %v", len(timers), len(want), err)
	}
	for _, got := range timers {
		if w := want[got.Key]; !got.At.Equal(w.At) || !bytes.Equal(got.Data, w.Data) {
			t.Errorf("timer %q is at %s with %d bytes, want %s with %d", got.Key, got.At, len(got.Data), w.At, len(w.Data))
		}
	}
}

// What was deleted must not fill the bucket: its marks go after a while.
func TestWhatWasDeletedIsForgotten(t *testing.T) {
	t.Parallel() // it is waiting
	b := open(t, func(o *bus.Options) { o.Listen = "127.0.0.1:0" })
	conn, err := nats.Connect(b.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	for i := range n {
		key := fmt.Sprint(i)
		keep(t, b, "p", key, "x")
		if err := b.Delete(t.Context(), "p", key); err != nil {
			t.Fatal(err)
		}
	}
	left := func() uint64 {
		stream, err := js.Stream(t.Context(), "KV_test-plugins")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	tick, late := time.NewTicker(200*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for left() > 0 {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d marks are still there", left())
		}
	}
}
