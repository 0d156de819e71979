package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/switchboard-dev/switchboard/bridge/outbox"
)

// Queue is what is accepted and not finished; [outbox.Door] is it.
type Queue interface {
	Waiting(ctx context.Context, account, sender string) ([]outbox.Waiting, error)
	WaitingAt(ctx context.Context, sequence uint64) (outbox.Waiting, error)
	Cancel(ctx context.Context, account, sender, id string) error
	Replay(ctx context.Context, sequence uint64) (id string, err error)
}

var _ Queue = (*outbox.Door)(nil)

// Target names an action that waits: by its place in the queue, or by the
// others.
type Target struct {
	Sequence uint64 `json:"sequence,omitempty"`
	Account  string `json:"account,omitempty"`
	Sender   string `json:"sender,omitempty"`
	ID       string `json:"id,omitempty"`
}

func (a *api) queue(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	list, err := a.o.Queue.Waiting(r.Context(), q.Get("account"), q.Get("sender"))
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, list)
}

// cancel answers with what was cancelled.
func (a *api) cancel(w http.ResponseWriter, r *http.Request) {
	var t Target
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		a.fail(w, http.StatusBadRequest, fmt.Errorf("read what to cancel: %w", err))
		return
	}
	if t.Sequence != 0 {
		is, err := a.o.Queue.WaitingAt(r.Context(), t.Sequence)
		if err != nil {
			a.fail(w, codeOf(err), err)
			return
		}
		t.Account, t.Sender, t.ID = is.Account, is.Sender, is.ID
	}
	if err := a.o.Queue.Cancel(r.Context(), t.Account, t.Sender, t.ID); err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, t)
}

// Queue lists what is accepted and not finished; an empty account or sender: of
// all.
func (c *Client) Queue(ctx context.Context, account, sender string) (list []outbox.Waiting, err error) {
	q := url.Values{"account": {account}, "sender": {sender}}
	err = c.call(ctx, http.MethodGet, "/v1/queue?"+q.Encode(), nil, &list)
	return list, err
}

// Cancel ends an action that waits, and returns its name in full.
func (c *Client) Cancel(ctx context.Context, t Target) (Target, error) {
	var is Target
	err := c.call(ctx, http.MethodPost, "/v1/queue/cancel", t, &is)
	return is, err
}
