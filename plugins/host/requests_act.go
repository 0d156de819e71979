package host

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// defaultActionRate is how many actions a plugin may ask for in a second.
const defaultActionRate = 100

// act passes an action on, if it was granted and there were not too many.
func (r *requests) act(ctx context.Context, a event.Action) (*pluginv1.Answer, error) {
	if err := a.Check(); err != nil { // first, for it bounds what is logged below
		r.stats.Refused.Add(1)
		return nil, err
	}
	if err := r.mayAct(a); err != nil {
		return nil, r.refused(a, err)
	}
	duplicate, err := r.parts.Actions.Act(ctx, r.spec.Name, a)
	if err != nil {
		return nil, r.refused(a, err)
	}
	r.stats.Accepted.Add(1)
	return &pluginv1.Answer{Answer: &pluginv1.Answer_Accepted{Accepted: &pluginv1.Accepted{Duplicate: duplicate}}}, nil
}

func (r *requests) mayAct(a event.Action) error {
	if !slices.Contains(r.spec.Actions, a.Type) {
		return fmt.Errorf("%w: plugin %s may not %s; the operator grants it by plugins.%s.actions",
			errNotGranted, r.spec.Name, a.Type, r.spec.Name)
	}
	if err := r.mayUse(a.Account, "act on"); err != nil {
		return err
	}
	turn := r.rate.Reserve()
	if wait := turn.Delay(); wait > 0 {
		turn.Cancel()
		return fmt.Errorf("%w: plugin %s may take %g actions a second, and %d at once; try again in %s, or have the operator raise plugins.%s.rate",
			ErrLimit, r.spec.Name, float64(r.rate.Limit()), r.rate.Burst(), wait.Round(time.Millisecond), r.spec.Name)
	}
	return nil
}

// mayUse says why an account is not the plugin's to use.
func (r *requests) mayUse(account, what string) error {
	if slices.Contains(r.spec.Accounts, account) {
		return nil
	}
	return fmt.Errorf("%w: plugin %s may not %s account %q; the operator grants it by plugins.%s.accounts",
		errNotGranted, r.spec.Name, what, account, r.spec.Name)
}

// refused counts and tells that an action was not taken.
func (r *requests) refused(a event.Action, err error) error {
	r.stats.refused(err)
	r.complaints.Do(func() {
		r.log.Warn("action refused", "action", a.Type, "account", a.Account, "conversation", a.Conversation, "error", err)
	})
	return err
}
