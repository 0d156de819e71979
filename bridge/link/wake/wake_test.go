package wake

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	inNamespace() // on Linux this is another process, for some
	goleak.VerifyTestMain(m)
}

func TestASleepShowsInTheWallClock(t *testing.T) {
	for name, test := range map[string]struct {
		jump time.Duration
		want int
	}{
		"none":                     {0, 0},
		"a minute":                 {time.Minute, 1},
		"a night":                  {8 * time.Hour, 1},
		"the clock is corrected":   {9 * time.Second, 0},
		"the clock is set back":    {-time.Hour, 0},
		"just more than is let go": {11 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var ahead time.Duration
				slept := 0
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() {
					watchClocks(ctx, func() time.Time {
						mu.Lock()
						defer mu.Unlock()
						return wall().Add(ahead)
					}, func() { slept++ })
				})
				time.Sleep(time.Hour + time.Second)
				mu.Lock()
				ahead = test.jump
				mu.Unlock()
				time.Sleep(tick)
				synctest.Wait()
				if slept != test.want { // at the next tick
					t.Errorf("told %d times, want %d", slept, test.want)
				}
				time.Sleep(time.Hour)
				stop()
				running.Wait()
				if slept != test.want { // and once
					t.Errorf("told %d times in the end, want %d", slept, test.want)
				}
			})
		})
	}
}

func TestNewsOfTheNetworkAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var told []time.Duration
		news := make(chan struct{}, 1)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { gather(ctx, news, func() { told = append(told, time.Since(began)) }) })
		for range 15 { // over a second and a half
			select {
			case news <- struct{}{}:
			default:
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		stop()
		running.Wait()
		if want := []time.Duration{0, time.Second, 2 * time.Second}; !slices.Equal(told, want) {
			t.Errorf("told at %v, want %v", told, want)
		}
	})
}

func TestWatchEndsWithTheCauseOfItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(cause)
	if err := Watch(ctx, slog.New(slog.DiscardHandler), func(Reason) {}); !errors.Is(err, cause) {
		t.Errorf("err = %v", err)
	}
}
