package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Replays have plugins given once more what is stored; [bus.Bus] does.
type Replays interface {
	Replay(ctx context.Context, spec bus.ReplaySpec, progress func([]bus.ReplayedFeed) error) ([]bus.ReplayedFeed, error)
	WaitingReplays(ctx context.Context, plugin, feed, account, conversation string) ([]bus.WaitingFeed, error)
	DropReplay(ctx context.Context, plugin, feed, account, conversation string) ([]bus.WaitingFeed, error)
}

var _ Replays = (*bus.Bus)(nil)

// ErrCutOff says that the bridge ended before it had answered.
var ErrCutOff = errors.New("the bridge has ended")

// Replay says what to deliver once more; see [bus.ReplaySpec].
type Replay struct {
	ID           string    `json:"id"`
	Resume       bool      `json:"resume,omitempty"`
	Plugin       string    `json:"plugin"`
	Feed         string    `json:"feed,omitempty"`
	Account      string    `json:"account,omitempty"`
	Conversation string    `json:"conversation,omitempty"`
	Types        []string  `json:"types,omitempty"`
	Since        time.Time `json:"since,omitzero"`
	Until        time.Time `json:"until,omitzero"`
	DryRun       bool      `json:"dry_run,omitempty"`
}

// ReplayProgress is a line of the answer: how far it is. The last one has Done,
// or the Error that ended it.
type ReplayProgress struct {
	Feeds []bus.ReplayedFeed `json:"feeds,omitempty"`
	Done  bool               `json:"done,omitempty"`
	Error string             `json:"error,omitempty"`
}

var replayIDs = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

func (a *api) replayEvents(w http.ResponseWriter, r *http.Request) {
	var ask Replay
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ask); err != nil {
		a.fail(w, http.StatusBadRequest, fmt.Errorf("read what to replay: %w", err))
		return
	}
	if !replayIDs.MatchString(ask.ID) {
		a.fail(w, http.StatusBadRequest, fmt.Errorf("id: %q is not 1 to 64 of a-z, A-Z, 0-9 and -", ask.ID))
		return
	}
	if _, err := a.o.Plugins.Show(ask.Plugin); err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	enc, out, begun := json.NewEncoder(w), http.NewResponseController(w), false
	line := func(p ReplayProgress) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		if err := enc.Encode(p); err != nil {
			return err
		}
		return out.Flush()
	}
	feeds, err := a.o.Replays.Replay(r.Context(), bus.ReplaySpec{
		ID: ask.ID, Resume: ask.Resume, Plugin: ask.Plugin, Feed: ask.Feed, Account: ask.Account, Conversation: ask.Conversation,
		Types: event.Patterns(ask.Types), Since: ask.Since, Until: ask.Until, DryRun: ask.DryRun,
	}, func(feeds []bus.ReplayedFeed) error { return line(ReplayProgress{Feeds: feeds}) })
	switch {
	case err == nil:
		err = line(ReplayProgress{Feeds: feeds, Done: true})
	case !begun:
		a.fail(w, codeOf(err), err)
		return
	default:
		err = line(ReplayProgress{Feeds: feeds, Error: err.Error()})
	}
	if err != nil {
		a.o.Log.Debug("an answer was not written", "error", err)
	}
}

func (a *api) waitingReplays(w http.ResponseWriter, r *http.Request) {
	a.ofReplays(w, r, a.o.Replays.WaitingReplays)
}

func (a *api) dropReplay(w http.ResponseWriter, r *http.Request) {
	a.ofReplays(w, r, a.o.Replays.DropReplay)
}

// ofReplays answers with the feeds that do returns.
func (a *api) ofReplays(w http.ResponseWriter, r *http.Request,
	do func(ctx context.Context, plugin, feed, account, conversation string) ([]bus.WaitingFeed, error)) {
	q := r.URL.Query()
	_, err := a.o.Plugins.Show(q.Get("plugin"))
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	list, err := do(r.Context(), q.Get("plugin"), q.Get("feed"), q.Get("account"), q.Get("conversation"))
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, list)
}

// Replay asks for events to be delivered once more, and calls fn with how far
// that is. An error that matches [ErrCutOff] or [ErrNotRunning] says that the
// same can be asked for again, and goes on.
func (c *Client) Replay(ctx context.Context, ask Replay, fn func([]bus.ReplayedFeed)) ([]bus.ReplayedFeed, error) {
	res, err := c.send(ctx, http.MethodPost, "/v1/replay", ask)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var p ReplayProgress
	for dec := json.NewDecoder(bufio.NewReader(res.Body)); ; {
		next := ReplayProgress{}
		if err := dec.Decode(&next); err != nil {
			if ctx.Err() != nil {
				return p.Feeds, context.Cause(ctx)
			}
			return p.Feeds, ErrCutOff
		}
		p = next
		switch {
		case p.Error != "":
			return p.Feeds, errors.New(p.Error)
		case p.Done:
			return p.Feeds, nil
		}
		fn(p.Feeds)
	}
}

// WaitingReplays are the feeds of a plugin that are still to be given something
// once more. Empty fields but the plugin select all.
func (c *Client) WaitingReplays(ctx context.Context, plugin, feed, account, conversation string) ([]bus.WaitingFeed, error) {
	return c.replays(ctx, http.MethodGet, plugin, feed, account, conversation)
}

// DropReplay removes what is still to be delivered once more, and returns what
// that was.
func (c *Client) DropReplay(ctx context.Context, plugin, feed, account, conversation string) ([]bus.WaitingFeed, error) {
	return c.replays(ctx, http.MethodDelete, plugin, feed, account, conversation)
}

func (c *Client) replays(ctx context.Context, method, plugin, feed, account, conversation string) (list []bus.WaitingFeed, err error) {
	q := url.Values{"plugin": {plugin}, "feed": {feed}, "account": {account}, "conversation": {conversation}}
	err = c.call(ctx, method, "/v1/replay?"+q.Encode(), nil, &list)
	return list, err
}
