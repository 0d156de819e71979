package sdktest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestADrainedPluginFinishesAndHasAHostUntilItHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var host *sdk.Host
		flushed := make(chan error, 1)
		p := handling(func(ctx context.Context, c *sdk.Delivery, _ event.Message) error {
			time.Sleep(time.Second)
			return c.Reply(ctx, "hello")
		}, func(p *sdk.Plugin[struct{}]) {
			configure := p.Configure
			p.Configure = func(ctx context.Context, h *sdk.Host, c struct{}) ([]sdk.Feed, error) {
				host = h
				return configure(ctx, h, c)
			}
			p.Drain = func(ctx context.Context) {
				time.Sleep(2 * time.Second) // longer than the handler
				flushed <- host.Put(ctx, "flushed", []byte("yes"))
			}
		})
		line := sdktest.Start(t, p, `{}`)
		done := make(chan sdktest.Outcome, 1)
		go func() { done <- line.Deliver(message(1, "hi")) }()
		synctest.Wait()
		began := time.Now()
		line.Restart()
		if err := <-flushed; err != nil || string(line.Store()["flushed"]) != "yes" {
			t.Errorf("what it had to do at its end: %v, store %q", err, line.Store())
		}
		if out := <-done; out.Result != sdktest.Ack || time.Since(began) != 2*time.Second || types(line) != "send_message" {
			t.Errorf("outcome %+v after %s, actions %s", out, time.Since(began), types(line))
		}
	})
}

func TestHealthIsAskedBesideThePingsAndKeepsThemNotWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var hangs atomic.Bool
		line := sdktest.Start(t, handling(func(context.Context, *sdk.Delivery, event.Message) error {
			time.Sleep(20 * time.Second) // a handler that is busy keeps no ping waiting
			return nil
		}, func(p *sdk.Plugin[struct{}]) {
			p.Health = func(ctx context.Context) error {
				if hangs.Load() {
					<-ctx.Done()
				}
				return errors.New("the receiver is away")
			}
		}), `{}`)
		go line.Deliver(message(1, "hi"))
		time.Sleep(time.Minute) // the host would have ended what answers no ping
		if got := line.Unhealthy(); got != "the receiver is away" {
			t.Errorf("unhealthy %q", got)
		}
		hangs.Store(true)
		time.Sleep(time.Minute)
		if got := line.Unhealthy(); got != "not known after 10s" {
			t.Errorf("unhealthy %q, though the check hangs", got)
		}
	})
}
