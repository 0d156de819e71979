package main

import (
	"net/http"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// hooked remembers which events a receiver of webhooks took.
type hooked struct {
	receiver http.Handler

	mu  sync.Mutex
	ids map[string]bool
}

func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	h.receiver.ServeHTTP(answer, r)
	if answer.status/100 == 2 {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ids[r.Header.Get(standardwebhooks.HeaderWebhookID)] = true
	}
}

// have is how many of the events are there.
func (h *hooked) have(ids map[string]bool) (n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range ids {
		if h.ids[id] {
			n++
		}
	}
	return n
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
