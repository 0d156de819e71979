package bus

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// A write whose answer is lost may have been done or not: the next one finds
// out.
func TestAWriteOfWhichNobodyKnowsIsCountedRight(t *testing.T) {
	b, err := Open(t.Context(), Options{
		DataDir: t.TempDir(), Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	used := func(want int64) {
		t.Helper()
		if n, _, err := b.StoreUsed(t.Context(), "p"); n != want || err != nil {
			t.Errorf("%d bytes used, want %d: %v", n, want, err)
		}
	}
	if err := b.Put(t.Context(), "p", "a", make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	used(75)
	// As an attempt is that was stored though its sender did not learn of it.
	if _, err := b.store.Put(t.Context(), bucketKey("p", "a"), make([]byte, 50)); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "p", "a", make([]byte, 70<<10)); err == nil {
		t.Fatal("more than the bucket takes was written")
	}
	used(115)
	if err := b.store.Purge(t.Context(), bucketKey("p", "a")); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "p", "a", make([]byte, 70<<10)); err == nil {
		t.Fatal("more than the bucket takes was written")
	}
	used(0)
	if err := b.Put(t.Context(), "p", "a", nil); err != nil {
		t.Fatal(err)
	}
	used(65)
}
