package bus_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func openBench(b *testing.B) *bus.Bus {
	b.Helper()
	opened, err := bus.Open(b.Context(), bus.Options{
		DataDir: b.TempDir(), Prefix: "bench", MaxAge: time.Hour, MaxBytes: 2 << 30, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := opened.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Log(err)
		}
	})
	return opened
}

// publishMany publishes n events of 350 bytes of 50 conversations and waits
// until they are in the stream.
func publishMany(b *testing.B, to *bus.Bus, n int) {
	b.Helper()
	data := fmt.Appendf(nil, `{"id":1,"content":"%0330d"}`, 0)
	done := make(chan struct{}, n)
	for i := range n {
		e := message(fmt.Sprint(i%50), i)
		e.Data = data
		if err := to.Publish(b.Context(), e, func(bus.Publication) { done <- struct{}{} }); err != nil {
			b.Fatal(err)
		}
	}
	for range n {
		<-done
	}
}

// BenchmarkPublish is inbound's way into the stream; an operation is an event.
func BenchmarkPublish(b *testing.B) {
	to := openBench(b)
	b.ResetTimer()
	publishMany(b, to, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkFeed is the host's way out of it, each event acknowledged.
func BenchmarkFeed(b *testing.B) {
	from := openBench(b)
	feed, err := from.OpenFeed(b.Context(), bus.FeedSpec{Owner: "p", Name: "f", Accounts: []string{"7"}, Events: []event.Pattern{"*"}, Held: 4096, Parked: 65536})
	if err != nil {
		b.Fatal(err)
	}
	defer feed.Close()
	publishMany(b, from, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		d, err := feed.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Ack(); err != nil {
			b.Fatal(err)
		}
		feed.Request(1)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
