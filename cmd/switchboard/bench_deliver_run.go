package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/process"
	"github.com/switchboard-dev/switchboard/proto/event"
)

type deliverOptions struct {
	Events, Size, Conversations int
	Rate                        float64
	For                         time.Duration
	// Started is told what is measured next.
	Started func(what string)
	// Profile is where to write a profile of the host; empty: nowhere.
	Profile string
}

const (
	deliverAccount = "bench"
	deliverPlugin  = "acknowledger"
	// deliverTimeout bounds a wait for what should be there at once.
	deliverTimeout = time.Minute
)

// deliver measures the way of events into a plugin.
func deliver(ctx context.Context, o deliverOptions) (r deliverReport, err error) {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := bus.Open(ctx, bus.Options{
		DataDir: filepath.Join(dir, "data"), Prefix: "bench", Accounts: []string{deliverAccount},
		MaxAge: time.Hour, MaxBytes: 8 << 30, Log: log,
	})
	if err != nil {
		return r, err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, b.Close(bounded))
	}()

	r = deliverReport{Events: o.Events, Size: o.Size, Rate: o.Rate}
	load := &deliverLoad{bus: b, o: o, data: []byte(`{"id":1,"content":"` + strings.Repeat("x", max(0, o.Size-21)) + `"}`)}
	o.Started("publishing the backlog")
	if err := load.backlog(ctx); err != nil {
		return r, err
	}
	o.Started("raw")
	before := cpuTime(os.Getpid())
	if r.Raw, err = b.Raw(ctx, o.Events); err != nil {
		return r, err
	}
	r.RawCPU = float64((cpuTime(os.Getpid()) - before).Microseconds()) / float64(o.Events)

	runtime := filepath.Join(dir, "run")
	if err := os.Mkdir(runtime, 0o700); err != nil {
		return r, err
	}
	h := host.New([]host.Spec{{
		Name: deliverPlugin, Path: process.Self(), Args: []string{"plugin", deliverPlugin},
		Accounts: []string{deliverAccount}, Events: []event.Pattern{"*"},
	}}, host.Options{Parts: host.Parts{Feeds: feeds{b}, Store: store{b}, Timers: timers{b}}, RuntimeDir: runtime, Log: log})
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.Run(running) // it ends when it is told to
	}()
	defer func() { stop(); <-ended }()

	o.Started("delivered")
	if err := r.drained(ctx, h, o); err != nil {
		return r, err
	}
	o.Started("from publish to handler")
	if err := load.steady(ctx); err != nil {
		return r, err
	}
	r.Latency, err = latency(ctx, b)
	return r, err
}

// drained waits until the plugin has acknowledged the backlog. The time for its
// start does not count.
func (r *deliverReport) drained(ctx context.Context, h *host.Host, o deliverOptions) error {
	// Looking must not take much of what is measured.
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	var began time.Time
	var before uint64
	var hostBefore, pluginBefore time.Duration
	deadline := time.Now().Add(deliverTimeout + time.Duration(o.Events)*time.Millisecond)
	for {
		s, acked := h.Status()[0], uint64(0)
		if len(s.Feeds) > 0 {
			acked = s.Feeds[0].Acked
		}
		switch now := time.Now(); {
		case before == 0 && acked > 0:
			began, before, hostBefore, pluginBefore = now, acked, cpuTime(os.Getpid()), cpuTime(s.PID)
			if o.Profile != "" {
				f, err := os.Create(o.Profile)
				if err != nil {
					return err
				}
				defer f.Close()
				if err := pprof.StartCPUProfile(f); err != nil {
					return err
				}
				defer pprof.StopCPUProfile()
			}
		case acked >= uint64(o.Events):
			n := float64(acked - before)
			r.Delivered = n / now.Sub(began).Seconds()
			r.HostCPU = float64((cpuTime(os.Getpid()) - hostBefore).Microseconds()) / n
			r.PluginCPU = float64((cpuTime(s.PID) - pluginBefore).Microseconds()) / n
			return nil
		case now.After(deadline):
			return fmt.Errorf("the plugin did not drain the backlog: %+v", s)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// deliverLoad publishes events as the bridge does.
type deliverLoad struct {
	bus  *bus.Bus
	o    deliverOptions
	data []byte
	n    int
}

func (l *deliverLoad) publish(ctx context.Context, t event.Type, done func(bus.Publication)) error {
	l.n++
	return l.bus.Publish(ctx, event.Event{
		ID: strconv.Itoa(l.n), Type: t, Source: "/accounts/bench", Account: deliverAccount,
		Conversation: strconv.Itoa(l.n % l.o.Conversations), Time: time.Now(), Data: l.data,
	}, done)
}

// backlog fills the stream.
func (l *deliverLoad) backlog(ctx context.Context) error {
	done := make(chan error, l.o.Events)
	for range l.o.Events {
		if err := l.publish(ctx, event.MessageNew, func(p bus.Publication) { done <- p.Err }); err != nil {
			return err
		}
	}
	for range l.o.Events {
		if err := <-done; err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// steady publishes at the rate, and then what makes the plugin report.
func (l *deliverLoad) steady(ctx context.Context) error {
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	began := time.Now()
	sent := 0
	for now := began; now.Sub(began) < l.o.For; {
		for ; float64(sent) < now.Sub(began).Seconds()*l.o.Rate; sent++ {
			if err := l.publish(ctx, timedEvent, func(bus.Publication) {}); err != nil {
				return err
			}
		}
		select {
		case now = <-every.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return l.publish(ctx, reportEvent, func(bus.Publication) {})
}

// latency waits for the plugin's report.
func latency(ctx context.Context, b *bus.Bus) (l deliverLatency, err error) {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	for {
		v, err := b.Get(ctx, deliverPlugin, reportKey)
		if err == nil {
			return l, json.Unmarshal(v, &l)
		}
		if !errors.Is(err, bus.ErrNoKey) {
			return l, err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return l, fmt.Errorf("the plugin did not report: %w", context.Cause(ctx))
		}
	}
}
