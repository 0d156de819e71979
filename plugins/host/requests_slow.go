package host

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Bounds of what takes its time.
const (
	// maxWaits is how many actions a plugin may wait for at once, and
	// maxWait for how long.
	maxWaits = 1000
	maxWait  = 5 * time.Minute
	// maxLookUps is how many conversations a plugin may be looking up at once.
	maxLookUps = 64
	// lookUpTimeout bounds one look-up with its wait for its turn.
	lookUpTimeout = 45 * time.Second
)

var (
	errTooManyWaits   = fmt.Errorf("%w: it waits for %d actions already", ErrLimit, maxWaits)
	errTooManyLookUps = fmt.Errorf("%w: it is looking up %d conversations already", ErrLimit, maxLookUps)
)

// wait waits for what becomes of an action.
func (r *requests) wait(ctx context.Context, req *pluginv1.Request) (*pluginv1.Answer, error) {
	q := req.GetWait()
	if err := r.mayUse(q.GetAccount(), "ask about an action on"); err != nil {
		return nil, err
	}
	if q.GetId() == "" {
		return nil, fmt.Errorf("%w: an id is needed to wait for an action", errInvalid)
	}
	timeout := maxWait
	if q.GetTimeout() != nil {
		timeout = min(q.GetTimeout().AsDuration(), maxWait)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it has not ended within %s", timeout))
	defer cancel()
	t, data, err := r.parts.Actions.Wait(ctx, r.spec.Name, q.GetAccount(), q.GetId())
	if err != nil {
		return nil, fmt.Errorf("wait for action %q: %w", q.GetId(), err)
	}
	return &pluginv1.Answer{Answer: &pluginv1.Answer_Result{Result: &pluginv1.Result{Type: string(t), Data: data}}}, nil
}

// lookUp reads a conversation at its backend.
func (r *requests) lookUp(ctx context.Context, req *pluginv1.Request) (*pluginv1.Answer, error) {
	q := req.GetLookUp()
	if err := r.mayUse(q.GetAccount(), "look into"); err != nil {
		return nil, err
	}
	if id := q.GetConversation(); id == "" || len(id) > maxKey {
		return nil, fmt.Errorf("%w: the id of a conversation has 1 to %d bytes, this has %d", errInvalid, maxKey, len(id))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lookUpTimeout, fmt.Errorf("it took longer than %s", lookUpTimeout))
	defer cancel()
	c, err := r.parts.Backend.LookUp(ctx, q.GetAccount(), q.GetConversation())
	if err != nil {
		return nil, fmt.Errorf("look up conversation %s of account %s: %w", q.GetConversation(), q.GetAccount(), err)
	}
	ans := &pluginv1.Answer{Answer: &pluginv1.Answer_Conversation{Conversation: &pluginv1.Conversation{Data: c.Data, Messages: c.Messages}}}
	// What is too large for a message would end the line.
	if size := proto.Size(ans); size > pluginv1.MaxMessage-1<<10 {
		return nil, fmt.Errorf("%w: conversation %s of account %s has %d bytes with its messages, and %d can be handed over",
			ErrLimit, q.GetConversation(), q.GetAccount(), size, pluginv1.MaxMessage-1<<10)
	}
	return ans, nil
}
