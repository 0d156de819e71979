package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// requestTimeout bounds what one request may wait for the rest of Switchboard.
const requestTimeout = 10 * time.Second

// Bounds of the plugins' store.
const (
	maxKey   = 256
	maxValue = 64 << 10
)

var errNotGranted = errors.New("not granted")

// answer carries out a request within what the plugin was granted.
func (l *line) answer(ctx context.Context, req *pluginv1.Request) *pluginv1.Answer {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ans := &pluginv1.Answer{Request: req.GetId()}
	var err error
	switch r := req.GetRequest().(type) {
	case *pluginv1.Request_Act:
		var accepted *pluginv1.Accepted
		if accepted, err = l.act(ctx, r.Act.ToAction()); err == nil {
			ans.Answer = &pluginv1.Answer_Accepted{Accepted: accepted}
		}
	case *pluginv1.Request_Get:
		var value []byte
		if err = checkKey(r.Get.GetKey()); err == nil {
			value, err = l.parts.Store.Get(ctx, l.spec.Name, r.Get.GetKey())
		}
		ans.Answer = &pluginv1.Answer_Value{Value: &pluginv1.Value{Value: value}}
	case *pluginv1.Request_Put:
		if err = checkKey(r.Put.GetKey()); err == nil && len(r.Put.GetValue()) > maxValue {
			err = fmt.Errorf("%w: value has %d bytes, %d are allowed", errInvalid, len(r.Put.GetValue()), maxValue)
		}
		if err == nil {
			err = l.parts.Store.Put(ctx, l.spec.Name, r.Put.GetKey(), r.Put.GetValue())
		}
		ans.Answer = &pluginv1.Answer_Done{Done: &pluginv1.Done{}}
	case *pluginv1.Request_Delete:
		if err = checkKey(r.Delete.GetKey()); err == nil {
			err = l.parts.Store.Delete(ctx, l.spec.Name, r.Delete.GetKey())
		}
		ans.Answer = &pluginv1.Answer_Done{Done: &pluginv1.Done{}}
	default:
		err = fmt.Errorf("%w: a request that this host does not know", errInvalid)
	}
	if err != nil {
		ans.Answer = &pluginv1.Answer_Error{Error: answerError(err)}
	}
	return ans
}

// act passes an action on, if it was granted.
func (l *line) act(ctx context.Context, a event.Action) (*pluginv1.Accepted, error) {
	if err := a.Check(); err != nil { // first, for it bounds what is logged below
		l.stats.Refused.Add(1)
		return nil, err
	}
	if !slices.Contains(l.spec.Actions, a.Type) {
		l.stats.Refused.Add(1)
		l.complaints.Do(func() {
			l.log.Warn("action refused: not granted", "action", a.Type, "account", a.Account, "conversation", a.Conversation)
		})
		return nil, fmt.Errorf("%w: plugin %s may not %s; the operator grants it by plugins.%s.actions",
			errNotGranted, l.spec.Name, a.Type, l.spec.Name)
	}
	if !slices.Contains(l.spec.Accounts, a.Account) {
		l.stats.Refused.Add(1)
		l.complaints.Do(func() {
			l.log.Warn("action refused: account not granted", "action", a.Type, "account", a.Account)
		})
		return nil, fmt.Errorf("%w: plugin %s may not act on account %q; the operator grants it by plugins.%s.accounts",
			errNotGranted, l.spec.Name, a.Account, l.spec.Name)
	}
	duplicate, err := l.parts.Actions.Act(ctx, l.spec.Name, a)
	if err != nil {
		l.stats.Refused.Add(1)
		return nil, err
	}
	l.stats.Accepted.Add(1)
	return &pluginv1.Accepted{Duplicate: duplicate}, nil
}

var errInvalid = errors.New("invalid request")

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("%w: a key has 1 to %d bytes, this has %d", errInvalid, maxKey, len(key))
	}
	return nil
}

func answerError(err error) *pluginv1.Error {
	code := pluginv1.Error_CODE_UNAVAILABLE
	switch {
	case errors.Is(err, event.ErrInvalidAction), errors.Is(err, errInvalid):
		code = pluginv1.Error_CODE_INVALID
	case errors.Is(err, errNotGranted):
		code = pluginv1.Error_CODE_NOT_GRANTED
	case errors.Is(err, ErrNotFound):
		code = pluginv1.Error_CODE_NOT_FOUND
	}
	return &pluginv1.Error{Code: code, Message: err.Error()}
}
