package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Accepted is an action that is in the outbound queue, on disk.
type Accepted struct {
	// ID is the action's.
	ID string
	// Duplicate says that the same id had been accepted before; it is done once.
	Duplicate bool

	host    *Host
	typ     event.ActionType
	account string
}

// ActionError says that an accepted action was not done, for certain or as far
// as is known.
type ActionError struct {
	// Type is action.failed or action.expired.
	Type event.Type
	// Result says why.
	Result event.ActionResult
}

func (e *ActionError) Error() string {
	return fmt.Sprintf("%s: %s of conversation %s: %s", e.Type, e.Result.Type, e.Result.Conversation, e.Result.Reason)
}

// Wait returns when the backend has confirmed the action. An [*ActionError]
// says that it failed or expired, [ErrUnavailable] that nothing was known when
// the time was over: ctx's, or else 5 min. A handler has its feed's timeout for
// all that it does; an action that waits for a backend which is away takes
// longer. Then handle [Handlers.OnActionResult] instead.
func (a *Accepted) Wait(ctx context.Context) (event.ActionResult, error) {
	var none event.ActionResult
	if a.typ.Live() {
		return none, fmt.Errorf("wait for %s: %w: typing has no results", a.typ, ErrInvalid)
	}
	wait := &pluginv1.Wait{Account: a.account, Id: a.ID}
	if until, ok := ctx.Deadline(); ok {
		wait.Timeout = durationpb.New(max(0, time.Until(until)))
	}
	ans, err := a.host.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Wait{Wait: wait}})
	if err != nil {
		return none, fmt.Errorf("wait for %s %s: %w", a.typ, a.ID, err)
	}
	var result event.ActionResult
	if err := json.Unmarshal(ans.GetResult().GetData(), &result); err != nil {
		return none, fmt.Errorf("wait for %s %s: read its result: %w", a.typ, a.ID, err)
	}
	if t := event.Type(ans.GetResult().GetType()); t != event.ActionConfirmed {
		return result, &ActionError{t, result}
	}
	return result, nil
}

// Do puts an action into the outbound queue and returns when it is there, on
// disk. The action needs an ID; [Delivery.Do] makes one from its event.
func (h *Host) Do(ctx context.Context, a event.Action) (*Accepted, error) {
	if a.TraceParent == "" {
		a.TraceParent, a.TraceState = Trace(ctx)
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("send %s to conversation %s: %w: %w", a.Type, a.Conversation, ErrInvalid, err)
	}
	ans, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Act{Act: pluginv1.FromAction(a)}})
	if err != nil {
		return nil, fmt.Errorf("send %s to conversation %s: %w", a.Type, a.Conversation, err)
	}
	return &Accepted{a.ID, ans.GetAccepted().GetDuplicate(), h, a.Type, a.Account}, nil
}
