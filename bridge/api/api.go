// Package api is the way into a running bridge: HTTP with JSON, on a Unix
// socket for the commands on the same machine, and its health on a port where
// one is configured.
//
//	GET  /v1/status                     everything that `switchboard status` shows
//	GET  /v1/events                     events as they come, a JSON object a line
//	POST /v1/actions                    an action into the queue
//	POST /v1/links/{account}/{command}  connect, disconnect or reconnect
//	GET  /v1/queue                      what is accepted and not finished
//	POST /v1/queue/cancel               end one of these before it is sent
//	GET  /v1/dead, /v1/dead/{sequence}  dead letters; one, with its body
//	POST /v1/dead/{sequence}/replay     do its action again, or give its event to
//	                                    its plugin again, and remove it
//	DELETE /v1/dead/{sequence}          remove it
//	POST /v1/replay                     have a plugin given events once more
//	GET, DELETE /v1/replay              what is still to be given; remove it
//	GET  /v1/plugins, /v1/plugins/{plugin}      the plugins; one, with all about it
//	POST /v1/plugins/{plugin}/{command}         restart, pause or resume
//	GET  /v1/plugins/{plugin}/logs      its log, a JSON object a line
//	GET  /healthz, /readyz              alive; ready, or why not
//	GET  /metrics                       for Prometheus
//
// Who may open the socket may do everything: it is in a directory that is its
// owner's alone. An error is {"error": "…"} with a fitting HTTP status.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Operator is the sender of the actions that come in here.
const Operator = outbox.Operator

// Options are what the API shows of a bridge.
type Options struct {
	// Status is what GET /v1/status answers, as JSON.
	Status func() any
	// Unready says why the bridge is not ready; empty: it is.
	Unready func() []string
	// Act is the door for actions.
	Act func(ctx context.Context, sender string, a event.Action) (duplicate bool, err error)
	// Tail watches events.
	Tail func(ctx context.Context, spec bus.TailSpec, fn func(event.Event) error) error
	// Link is an account's link; nil: there is no such account.
	Link func(account string) *link.Link
	// Queue is what is accepted and not finished.
	Queue Queue
	// Dead are the dead letters.
	Dead DeadLetters
	// Replays have plugins given once more what is stored.
	Replays Replays
	// Plugins are the plugins.
	Plugins Plugins
	// Metrics serves the metrics to Prometheus.
	Metrics http.Handler
	Log     *slog.Logger
}

// Handler serves the whole API. It is for the Unix socket.
func Handler(o Options) http.Handler {
	a := &api{o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { a.write(w, http.StatusOK, o.Status()) })
	mux.HandleFunc("GET /v1/events", a.events)
	mux.HandleFunc("POST /v1/actions", a.act)
	mux.HandleFunc("POST /v1/links/{account}/{command}", a.link)
	mux.HandleFunc("GET /v1/queue", a.queue)
	mux.HandleFunc("POST /v1/queue/cancel", a.cancel)
	mux.HandleFunc("GET /v1/dead", a.dead)
	mux.HandleFunc("GET /v1/dead/{sequence}", a.letter)
	mux.HandleFunc("POST /v1/dead/{sequence}/replay", a.replay)
	mux.HandleFunc("DELETE /v1/dead/{sequence}", a.drop)
	mux.HandleFunc("POST /v1/replay", a.replayEvents)
	mux.HandleFunc("GET /v1/replay", a.waitingReplays)
	mux.HandleFunc("DELETE /v1/replay", a.dropReplay)
	mux.HandleFunc("GET /v1/plugins", a.plugins)
	mux.HandleFunc("GET /v1/plugins/{plugin}", a.plugin)
	mux.HandleFunc("POST /v1/plugins/{plugin}/{command}", a.pluginCommand)
	mux.HandleFunc("GET /v1/plugins/{plugin}/logs", a.pluginLogs)
	mux.Handle("/", Health(o))
	return mux
}

// Health serves /healthz, /readyz and /metrics alone. It is for a port that
// others reach.
func Health(o Options) http.Handler {
	a := &api{o}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		a.write(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reasons := o.Unready(); len(reasons) > 0 {
			a.write(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "reasons": reasons})
			return
		}
		a.write(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	return mux
}

type api struct{ o Options }

// Event is an event as the API writes it.
type Event struct {
	ID           string     `json:"id"`
	Type         event.Type `json:"type"`
	Source       string     `json:"source"`
	Account      string     `json:"account"`
	Conversation string     `json:"conversation,omitempty"`
	Time         time.Time  `json:"time"`
	Replayed     bool       `json:"replayed,omitempty"`
	// By and Action say whose action caused it.
	By     string          `json:"by,omitempty"`
	Action string          `json:"action,omitempty"`
	Data   json.RawMessage `json:"data"`
}

func fromEvent(e event.Event) Event {
	return Event{e.ID, e.Type, e.Source, e.Account, e.Conversation, e.Time, e.Replayed, e.By, e.Action, e.Data}
}

func (a *api) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	spec := bus.TailSpec{
		Account: q.Get("account"), Conversation: q.Get("conversation"), Types: event.Patterns(q["type"]),
	}
	if v := q.Get("since"); v != "" {
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			a.fail(w, http.StatusBadRequest, fmt.Errorf("since: %q is not a time as RFC 3339 has them", v))
			return
		}
		spec.Since = t
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	if err := flush.Flush(); err != nil { // the caller sees that it is connected
		return
	}
	enc := json.NewEncoder(w)
	err := a.o.Tail(r.Context(), spec, func(e event.Event) error {
		if err := enc.Encode(fromEvent(e)); err != nil {
			return err
		}
		return flush.Flush()
	})
	if err != nil && r.Context().Err() == nil {
		a.o.Log.Warn("a watcher of events was cut off", "error", err)
	}
}

// Acted is the answer to an action.
type Acted struct {
	ID string `json:"id"`
	// Duplicate: the id had been accepted before, and is done once.
	Duplicate bool `json:"duplicate"`
	// Result is the event that the action ended as, where it was waited for.
	Result *Event `json:"result,omitempty"`
}

// act takes an action; with ?wait=DURATION it waits for its end.
func (a *api) act(w http.ResponseWriter, r *http.Request) {
	var action event.Action
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*event.MaxActionBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&action); err != nil {
		a.fail(w, http.StatusBadRequest, fmt.Errorf("read the action: %w", err))
		return
	}
	var wait time.Duration
	if v := r.URL.Query().Get("wait"); v != "" {
		var err error
		if wait, err = time.ParseDuration(v); err != nil {
			a.fail(w, http.StatusBadRequest, fmt.Errorf("wait: %q is not a duration such as 30s", v))
			return
		}
	}
	duplicate, err := a.o.Act(r.Context(), Operator, action)
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	done := Acted{ID: action.ID, Duplicate: duplicate}
	if wait > 0 && !action.Type.Live() {
		if done.Result, err = a.await(r.Context(), action, wait); err != nil {
			a.fail(w, http.StatusGatewayTimeout, err)
			return
		}
	}
	a.write(w, http.StatusOK, done)
}

// codeOf is the HTTP status that an error of the bridge is answered with.
func codeOf(err error) int {
	switch {
	case errors.Is(err, outbox.ErrKeyReused), errors.Is(err, outbox.ErrSending), errors.Is(err, outbox.ErrNotReplayable), errors.Is(err, bus.ErrReplay):
		return http.StatusConflict
	case errors.Is(err, event.ErrInvalidAction):
		return http.StatusBadRequest
	case errors.Is(err, ErrNoPlugin), errors.Is(err, outbox.ErrUnknownAccount), errors.Is(err, outbox.ErrNotWaiting), errors.Is(err, bus.ErrNoDeadLetter),
		errors.Is(err, bus.ErrNoFeed):
		return http.StatusNotFound
	case errors.Is(err, outbox.ErrFull), errors.Is(err, bus.ErrReplaysFull):
		return http.StatusTooManyRequests
	case errors.Is(err, outbox.ErrLoop):
		return http.StatusLoopDetected
	}
	return http.StatusServiceUnavailable
}

var errFound = errors.New("found")

// await returns the event that an action of ours ended as. It looks back as
// far as an id is remembered, so that a repeated one finds its end, too.
func (a *api) await(ctx context.Context, action event.Action, wait time.Duration) (*Event, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var result *Event
	err := a.o.Tail(ctx, bus.TailSpec{
		Account: action.Account, Conversation: action.Conversation, Since: time.Now().Add(-bus.KeyLife),
		Types: event.Patterns([]string{string(event.ActionConfirmed), string(event.ActionFailed), string(event.ActionExpired)}),
	}, func(e event.Event) error {
		if e.By != Operator || e.Action != action.ID {
			return nil
		}
		ev := fromEvent(e)
		result = &ev
		return errFound
	})
	if result != nil {
		return result, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s %s is in the queue, but has not ended within %s; `switchboard tail --type 'action.*'` shows when it does",
		action.Type, action.ID, wait)
}

func (a *api) link(w http.ResponseWriter, r *http.Request) {
	account := r.PathValue("account")
	l := a.o.Link(account)
	if l == nil {
		a.fail(w, http.StatusNotFound, fmt.Errorf("unknown account %q: `switchboard status` shows those of this bridge", account))
		return
	}
	do := map[string]func(context.Context) error{
		"connect": l.Connect, "disconnect": l.Disconnect, "reconnect": l.Reconnect,
	}[r.PathValue("command")]
	if do == nil {
		a.fail(w, http.StatusNotFound, fmt.Errorf("%q is not connect, disconnect or reconnect", r.PathValue("command")))
		return
	}
	if err := do(r.Context()); err != nil {
		a.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	a.write(w, http.StatusOK, l.Status())
}

func (a *api) fail(w http.ResponseWriter, code int, err error) {
	a.write(w, code, map[string]string{"error": err.Error()})
}

func (a *api) write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.o.Log.Debug("an answer was not written", "error", err)
	}
}
