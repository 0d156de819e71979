package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	// healEvery is how often a server that cannot write is looked at.
	healEvery = time.Second
	// roomNeeded is how much the disk must take for it to be started anew.
	roomNeeded = 8 * mib
)

// ErrFrozen says that NATS cannot write to its disk.
var ErrFrozen = errors.New("NATS cannot write to its disk")

// Trouble is why nothing can be stored now; nil: it can, as far as is known.
// What is frozen comes back when there is room again, see [Bus.Upkeep].
func (b *Bus) Trouble() error {
	if b.embedded == nil {
		return nil
	}
	if said := b.embedded.log.frozen.Load(); said != nil {
		return fmt.Errorf("%w: make room in data_dir; what was accepted is safe, and all goes on by itself then (%s)", ErrFrozen, *said)
	}
	return nil
}

// OnLoss has fn called when the embedded server was started anew: the latest
// events may be missing from the stream though they were acknowledged. fn must
// not block.
func (b *Bus) OnLoss(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.losses = append(b.losses, fn)
}

// Upkeep does, until ctx ends, what must be done now and then: it keeps the
// places of the feeds, cuts off bots that ask without end, and starts the embedded server anew when that could not
// write and there is room again.
func (b *Bus) Upkeep(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.KeepPositions(ctx) })
	if b.embedded != nil {
		group.Go(func() error { return b.heal(ctx) })
		if len(b.embedded.bots) > 0 {
			group.Go(func() error { return b.curb(ctx) })
		}
	}
	return group.Wait()
}

// heal is for the server's rule that a stream on which a write has failed takes
// nothing more.
func (b *Bus) heal(ctx context.Context) error {
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.embedded.log.frozen.Load() == nil || !hasRoom(b.dir) {
			continue
		}
		b.log.Warn("there is room on the disk again: the embedded NATS server is started anew")
		if err := b.restart(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.log.Error("the embedded NATS server could not be started anew; it is tried again", "error", err)
		}
	}
}

// restart ends the server and starts it on the same store. Nobody is let in
// before the stream of events is padded: an acknowledgement that is still under
// way must not meet an event that it is not of.
func (b *Bus) restart(ctx context.Context) error {
	e := b.embedded
	e.stop()
	e.log.frozen.Store(nil)
	s, err := e.start()
	if err != nil {
		text := err.Error()
		e.log.frozen.Store(&text)
		return err
	}
	b.unclean.Store(true)
	b.stage()
	err = func() error {
		conn, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(e.user, e.key))
		if err != nil {
			return fmt.Errorf("connect to the embedded NATS server: %w", err)
		}
		defer conn.Close()
		js, err := jetstream.New(conn)
		if err != nil {
			return fmt.Errorf("open JetStream: %w", err)
		}
		return b.pad(ctx, js)
	}()
	e.expose(s)
	e.admit()
	if err != nil {
		text := err.Error()
		e.log.frozen.Store(&text)
		return err
	}
	b.mu.Lock()
	losses := b.losses
	b.mu.Unlock()
	for _, fn := range losses {
		fn()
	}
	return nil
}

// hasRoom tries it: what a file system says of its room is not what a process
// may have of it.
func hasRoom(dir string) bool {
	f, err := os.CreateTemp(dir, "room-*")
	if err != nil {
		return false
	}
	_, err = f.Write(make([]byte, roomNeeded))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name())) == nil
}
