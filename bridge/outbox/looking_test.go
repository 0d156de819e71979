package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// looking prepares a rig whose outbox looks before it sends again, and takes
// less time for it.
func looking(t *testing.T, o simulator.Options, change func(*outbox.Options)) *rig {
	t.Helper()
	r := prepare(t, o, change)
	r.looks = true
	return r
}

// rest stands before the backend's REST API alone, to take it down, or hold it
// back, while the sockets go on.
type rest struct {
	down  atomic.Bool
	lag   atomic.Pointer[string] // what it answers; nil: what there is
	asked atomic.Int64           // how often it was one of these
}

func (g *rest) before(backend http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		old := g.lag.Load()
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/") && g.down.Load():
			g.asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasPrefix(r.URL.Path, "/api/") && old != nil:
			g.asked.Add(1)
			_, _ = io.WriteString(w, *old)
		default:
			backend.ServeHTTP(w, r)
		}
	})
}

// ledger reads the ledger as [outbox.ReadLedger] says.
func (r *rig) ledger(ctx context.Context, since time.Time, each func(outbox.LedgerEntry) error) error {
	nc, err := nats.Connect(r.bus.Address())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, "TEST_LEDGER")
	if err != nil {
		return err
	}
	for n := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(ctx, n+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if m.Time.Before(since) {
			continue
		}
		name := strings.Split(strings.TrimPrefix(m.Subject, "test.ledger.7."), ".")
		id, err := url.PathUnescape(name[1])
		if err != nil {
			return err
		}
		if err := each(outbox.LedgerEntry{Sender: name[0], ID: id, Written: m.Time, Data: m.Data}); err != nil {
			return err
		}
	}
	return nil
}

// restart ends the outbox hard, and all but the backend with it, and begins
// anew, without faults.
func (r *rig) restart() *results {
	r.t.Helper()
	r.stop()
	r.clear()
	r.open()
	results := r.watch()
	r.run()
	return results
}

// clear ends the faults.
func (r *rig) clear() {
	r.t.Helper()
	if _, err := r.sim.ClearFault("7", ""); err != nil {
		r.t.Fatal(err)
	}
}

// status is the conversation's, as REST has it.
func (r *rig) status(conversation string) event.Status {
	r.t.Helper()
	detail, err := r.connector.Conversation(r.t.Context(), conversation)
	if err != nil {
		r.t.Fatal(err)
	}
	var c event.Conversation
	if err := json.Unmarshal(detail.Conversation.Data, &c); err != nil {
		r.t.Fatal(err)
	}
	return c.Status
}
