package outbox

import (
	"context"
	"errors"
	"testing"
)

// An action may end between the look into the ledger and the look at its key.
func TestAnEndThatCameJustNowIsTold(t *testing.T) {
	ended := make(chan entry, 1)
	if _, err := next(t.Context(), ended, false); !errors.Is(err, ErrUnknownAction) {
		t.Errorf("what nobody knows: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := next(ctx, ended, true); !errors.Is(err, context.Canceled) {
		t.Errorf("what has no end: %v", err)
	}
	ended <- entry{State: "action.confirmed"}
	if end, err := next(ctx, ended, false); err != nil || !end.ended() {
		t.Errorf("%+v, %v", end, err)
	}
}
