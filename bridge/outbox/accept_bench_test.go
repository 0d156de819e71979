package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
)

// benchSenders is how many ask at once.
const benchSenders = 64

// BenchmarkAcceptByCall is the door as plugins use it: an operation is an
// action that is on disk.
func BenchmarkAcceptByCall(b *testing.B) {
	door, _ := openDoor(b)
	ask(b, func(worker int) func(int) error {
		sender := fmt.Sprintf("bot-%d", worker)
		return func(n int) error {
			_, err := door.Act(b.Context(), sender, send(fmt.Sprint(worker), fmt.Sprint(n), "hello, how can we help you?"))
			return err
		}
	})
}

// BenchmarkAcceptOverNATS is the door as bots use it, each with a connection
// of its own.
func BenchmarkAcceptOverNATS(b *testing.B) {
	door, address := openDoor(b)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = door.Run(ctx) })
	b.Cleanup(func() { stop(); running.Wait() })
	ask(b, func(worker int) func(int) error {
		nc, err := nats.Connect(address)
		if err != nil {
			b.Error(err)
			return nil
		}
		b.Cleanup(nc.Close)
		return func(n int) error {
			msg := nats.NewMsg(fmt.Sprintf("bench.action.7.%d.send_message", worker))
			msg.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%d-%d", worker, n))
			msg.Data = []byte(`{"content":"hello, how can we help you?"}`)
			for {
				res, err := nc.RequestMsg(msg, patience)
				if err == nats.ErrNoResponders { //nolint:errorlint // the door does not listen yet
					continue
				}
				if err != nil {
					return err
				}
				var a answer
				if err := json.Unmarshal(res.Data, &a); err != nil {
					return err
				}
				if a.Error.Code != 0 {
					return fmt.Errorf("%d: %s", a.Error.Code, a.Error.Description)
				}
				return nil
			}
		}
	})
}

// openDoor is a door with a queue on disk, in which everything stays.
func openDoor(b *testing.B) (door *outbox.Door, address string) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	opened, err := bus.Open(b.Context(), bus.Options{
		DataDir: b.TempDir(), Prefix: "bench", MaxAge: time.Hour, MaxBytes: 64 << 20, Listen: "127.0.0.1:0", Log: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := opened.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	limits := outbox.Limits{WaitingPerSender: 10_000_000, Waiting: 10_000_000, Bytes: 1 << 40}
	out := outbox.New(outbox.Options{Account: "7", Bus: opened, Limits: limits, Log: log})
	return outbox.NewDoor(opened, map[string]*outbox.Outbox{"7": out}, log), opened.Address()
}

// ask has the senders ask side by side, each for one action after the other.
func ask(b *testing.B, sender func(worker int) func(n int) error) {
	b.Helper()
	var asking sync.WaitGroup
	acts := make([]func(int) error, benchSenders)
	for worker := range acts {
		acts[worker] = sender(worker)
	}
	if b.Failed() {
		b.FailNow()
	}
	b.ResetTimer()
	for worker, act := range acts {
		asking.Go(func() {
			for n := worker; n < b.N; n += benchSenders {
				if err := act(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	asking.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "actions/s")
}
