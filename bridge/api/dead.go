package api

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/switchboard-dev/switchboard/bridge/bus"
)

// DeadLetters are those that the bridge keeps; [bus.Bus] does.
type DeadLetters interface {
	Dead(ctx context.Context, f bus.DeadFilter) iter.Seq2[bus.DeadLetter, error]
	DeadLetter(ctx context.Context, sequence uint64) (bus.DeadLetter, error)
	// ReplayDead is for those of plugins.
	ReplayDead(ctx context.Context, d bus.DeadLetter) (key string, err error)
	DropDead(ctx context.Context, sequence uint64) error
}

var _ DeadLetters = (*bus.Bus)(nil)

// DeadLetter is a dead letter as the API writes it.
type DeadLetter struct {
	Sequence     uint64    `json:"sequence"`
	Owner        string    `json:"owner"`
	Feed         string    `json:"feed,omitempty"`
	Account      string    `json:"account"`
	Conversation string    `json:"conversation,omitempty"`
	Type         string    `json:"type"`
	ID           string    `json:"id"`
	Reason       string    `json:"reason"`
	Attempts     int       `json:"attempts"`
	Stored       time.Time `json:"stored"`
	// Headers and Body are left out of lists. A body that is no UTF-8 is in Raw.
	Headers map[string][]string `json:"headers,omitempty"`
	Body    string              `json:"body,omitempty"`
	Raw     []byte              `json:"raw,omitempty"`
}

func fromLetter(d bus.DeadLetter, whole bool) DeadLetter {
	is := DeadLetter{
		Sequence: d.Sequence, Owner: d.Owner, Feed: d.Feed, Account: d.Account, Conversation: d.Conversation,
		Type: d.Type(), ID: d.ID(), Reason: d.Reason, Attempts: d.Attempts, Stored: d.Stored,
	}
	if whole {
		is.Headers = d.Headers
		if utf8.Valid(d.Body) {
			is.Body = string(d.Body)
		} else {
			is.Raw = d.Body
		}
	}
	return is
}

func (a *api) dead(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := bus.DeadFilter{Owner: q.Get("owner"), Account: q.Get("account"), Conversation: q.Get("conversation")}
	list := []DeadLetter{}
	for d, err := range a.o.Dead.Dead(r.Context(), f) {
		if err != nil {
			a.fail(w, codeOf(err), err)
			return
		}
		list = append(list, fromLetter(d, false))
	}
	a.write(w, http.StatusOK, list)
}

func (a *api) letter(w http.ResponseWriter, r *http.Request) {
	if d, ok := a.sequence(w, r); ok {
		a.write(w, http.StatusOK, fromLetter(d, true))
	}
}

func (a *api) drop(w http.ResponseWriter, r *http.Request) {
	d, ok := a.sequence(w, r)
	if !ok {
		return
	}
	if err := a.o.Dead.DropDead(r.Context(), d.Sequence); err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, fromLetter(d, false))
}

// Replayed is the answer to a replay.
type Replayed struct {
	// ID is that of the action that the dead letter became.
	ID string `json:"id,omitempty"`
	// Plugin is what its event goes to again, and Key tells that delivery from
	// those before.
	Plugin string `json:"plugin,omitempty"`
	Key    string `json:"key,omitempty"`
}

func (a *api) replay(w http.ResponseWriter, r *http.Request) {
	d, ok := a.sequence(w, r)
	if !ok {
		return
	}
	if d.Owner != bus.OutboxOwner {
		a.replayLetter(w, r, d)
		return
	}
	id, err := a.o.Queue.Replay(r.Context(), d.Sequence)
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, Replayed{ID: id})
}

// replayLetter is for those of plugins.
func (a *api) replayLetter(w http.ResponseWriter, r *http.Request, d bus.DeadLetter) {
	_, err := a.o.Plugins.Show(d.Owner)
	if err != nil {
		a.fail(w, codeOf(err), fmt.Errorf("replay dead letter %d: %w", d.Sequence, err))
		return
	}
	key, err := a.o.Dead.ReplayDead(r.Context(), d)
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, Replayed{Plugin: d.Owner, Key: key})
}

// sequence is the dead letter that a path names; false: that it names none was
// answered.
func (a *api) sequence(w http.ResponseWriter, r *http.Request) (d bus.DeadLetter, ok bool) {
	n, err := strconv.ParseUint(r.PathValue("sequence"), 10, 64)
	if err != nil {
		a.fail(w, http.StatusBadRequest, fmt.Errorf("%q is not the sequence of a dead letter", r.PathValue("sequence")))
		return d, false
	}
	if d, err = a.o.Dead.DeadLetter(r.Context(), n); err != nil {
		a.fail(w, codeOf(err), err)
		return d, false
	}
	return d, true
}

// Dead lists dead letters, without their bodies.
func (c *Client) Dead(ctx context.Context, f bus.DeadFilter) (list []DeadLetter, err error) {
	q := url.Values{"owner": {f.Owner}, "account": {f.Account}, "conversation": {f.Conversation}}
	err = c.call(ctx, http.MethodGet, "/v1/dead?"+q.Encode(), nil, &list)
	return list, err
}

// DeadLetter is one dead letter, whole.
func (c *Client) DeadLetter(ctx context.Context, sequence uint64) (d DeadLetter, err error) {
	err = c.call(ctx, http.MethodGet, deadPath(sequence), nil, &d)
	return d, err
}

// ReplayDead has a dead letter's action done again, or its event given to its
// plugin again, and removes it.
func (c *Client) ReplayDead(ctx context.Context, sequence uint64) (done Replayed, err error) {
	err = c.call(ctx, http.MethodPost, deadPath(sequence)+"/replay", nil, &done)
	return done, err
}

// DropDead removes a dead letter.
func (c *Client) DropDead(ctx context.Context, sequence uint64) error {
	return c.call(ctx, http.MethodDelete, deadPath(sequence), nil, nil)
}

func deadPath(sequence uint64) string { return "/v1/dead/" + strconv.FormatUint(sequence, 10) }
