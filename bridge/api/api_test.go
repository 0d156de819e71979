package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/bridge/outbox"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func TestErrorsAsHTTP(t *testing.T) {
	tests := []struct {
		err  error
		code int
	}{
		{event.Action{}.Check(), http.StatusBadRequest},
		{outbox.ErrUnknownAccount, http.StatusNotFound},
		{outbox.ErrNotWaiting, http.StatusNotFound},
		{bus.ErrNoDeadLetter, http.StatusNotFound},
		{outbox.ErrKeyReused, http.StatusConflict},
		{outbox.ErrSending, http.StatusConflict},
		{outbox.ErrNotReplayable, http.StatusConflict},
		{bus.ErrNoFeed, http.StatusNotFound},
		{ErrNoPlugin, http.StatusNotFound},
		{bus.ErrReplay, http.StatusConflict},
		{bus.ErrReplaysFull, http.StatusTooManyRequests},
		{outbox.ErrFull, http.StatusTooManyRequests},
		{outbox.ErrLoop, http.StatusLoopDetected},
		{outbox.ErrUnavailable, http.StatusServiceUnavailable},
		{errors.New("anything else"), http.StatusServiceUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.err.Error(), func(t *testing.T) {
			h := Handler(Options{
				Act: func(context.Context, string, event.Action) (bool, error) {
					return false, fmt.Errorf("%w: details", tt.err)
				},
				Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Metrics: http.NotFoundHandler(),
			})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/actions", strings.NewReader(`{"type":"send_message","account":"7","conversation":"1"}`)))
			if w.Code != tt.code || !strings.Contains(w.Body.String(), "details") {
				t.Errorf("HTTP %d: %s; want %d", w.Code, w.Body, tt.code)
			}
		})
	}
}

// A plugin need not try again what can never be accepted.
func TestAReusedIDIsFinal(t *testing.T) {
	if !errors.Is(outbox.ErrKeyReused, event.ErrInvalidAction) {
		t.Error("plugins take a reused id for something that passes")
	}
}
