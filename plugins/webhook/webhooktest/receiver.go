// Package webhooktest is a receiver of webhooks that checks what it is sent and
// keeps count, for tests, the demo, and for trying things out:
//
//	receiver, err := webhooktest.New("whsec_…")
//	server := httptest.NewServer(receiver)
//	…
//	stats := receiver.Stats() // Events, Duplicates, BadSignatures, OutOfOrder, …
package webhooktest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody is the largest request that is read.
const maxBody = 4 << 20

// Receiver is an endpoint of the webhook plugin. It remembers the id of every
// event, so it grows with what it is sent. It is safe for concurrent use.
type Receiver struct {
	verifier *standardwebhooks.Webhook

	mu    sync.Mutex
	stats Stats
	seen  map[string]bool
	// newest is the highest message id of each conversation. Events that were
	// missed and fetched later are in order among themselves, so they have an
	// entry of their own.
	newest map[conversation]int64
	fail   []int
}

type conversation struct {
	account  string
	id       int64
	replayed bool
}

// Stats are the counts of a [Receiver].
type Stats struct {
	// Requests counts all of them; each is counted in one further field as
	// well.
	Requests int `json:"requests"`
	// Events counts different webhook-ids.
	Events int `json:"events"`
	// Duplicates counts further requests with the same webhook-id.
	Duplicates int `json:"duplicates"`
	// BadSignatures counts what the standard's own verifier refused: a wrong
	// signature, a missing header, a timestamp that is over 5 minutes off.
	BadSignatures int `json:"bad_signatures"`
	// Malformed counts bodies that are signed and yet no envelope.
	Malformed int `json:"malformed"`
	// Failed counts those that were answered as [Receiver.FailNext] said.
	Failed int `json:"failed"`

	// OutOfOrder counts events message.new whose message is older than one
	// that its conversation had before.
	OutOfOrder int `json:"out_of_order"`
	// Types counts the Events by their type.
	Types map[string]int `json:"types"`
}

// New returns a receiver for requests signed with the secret: whsec_….
func New(secret string) (*Receiver, error) {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("read secret of the receiver: %w", err)
	}
	return &Receiver{
		verifier: verifier, stats: Stats{Types: map[string]int{}},
		seen: map[string]bool{}, newest: map[conversation]int64{},
	}, nil
}

// FailNext makes the next n requests fail with the HTTP status, unread.
func (r *Receiver) FailNext(n, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range n {
		r.fail = append(r.fail, status)
	}
}

// Stats is a snapshot.
func (r *Receiver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Types = maps.Clone(s.Types)
	return s
}

// ServeHTTP answers 204 to what is right, 401 to a bad signature and 400 to a
// body that is no envelope.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the request was cut off or is too large", http.StatusBadRequest)
		return
	}
	status, problem := r.receive(req.Header, body)
	if problem != "" {
		http.Error(w, problem, status)
		return
	}
	w.WriteHeader(status)
}

func (r *Receiver) receive(h http.Header, body []byte) (status int, problem string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Requests++
	if len(r.fail) > 0 {
		r.stats.Failed++
		status, r.fail = r.fail[0], r.fail[1:]
		return status, "failing as told"
	}
	if err := r.verifier.Verify(body, h); err != nil {
		r.stats.BadSignatures++
		return http.StatusUnauthorized, err.Error()
	}
	var envelope struct {
		Type string
		Data json.RawMessage
	}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Type == "" || envelope.Data == nil {
		r.stats.Malformed++
		return http.StatusBadRequest, "not an envelope with type and data"
	}
	id := h.Get(standardwebhooks.HeaderWebhookID)
	if r.seen[id] {
		r.stats.Duplicates++
		return http.StatusNoContent, ""
	}
	r.seen[id] = true
	r.stats.Events++
	r.stats.Types[envelope.Type]++
	if envelope.Type == "message.new" {
		r.ordered(h, envelope.Data)
	}
	return http.StatusNoContent, ""
}

// ordered compares a message with those before it.
func (r *Receiver) ordered(h http.Header, data []byte) {
	var message struct {
		ID           int64 `json:"id"`
		Conversation int64 `json:"conversation_id"`
	}
	if json.Unmarshal(data, &message) != nil {
		return // a backend with other ids
	}
	key := conversation{h.Get("Switchboard-Account"), message.Conversation, h.Get("Switchboard-Replayed") != ""}
	if message.ID < r.newest[key] {
		r.stats.OutOfOrder++
		return
	}
	r.newest[key] = message.ID
}
