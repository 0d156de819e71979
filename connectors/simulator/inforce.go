package simulator

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// standing is a fault in force.
type standing struct {
	fault Fault
	rule  rule
	upTo  int         // the serial of the last socket that was open when it was set
	end   *time.Timer // nil without a duration
}

// SetFault makes a fault happen; the package comment tells of each. It returns
// when that is done or, for those that stay, in force. Errors say what is
// wrong with the fault; an unknown account matches [ErrNotFound].
func (s *Server) SetFault(f Fault) error {
	_, err := s.setFault(f)
	return err
}

// setFault is SetFault and returns the fault with its defaults.
func (s *Server) setFault(f Fault) (Fault, error) {
	r, err := ruleOf(f.Name)
	if err != nil {
		return f, err
	}
	a, err := s.account(f.Account)
	if err != nil {
		return f, fmt.Errorf("set fault %s: %w", f.Name, err)
	}
	if err := r.check(f); err != nil {
		return f, fmt.Errorf("set fault %s: %w", f.Name, err)
	}
	f = r.fill(f)
	if r.lasts() && !a.enforce(f, r) {
		return f, fmt.Errorf("set fault %s: %w", f.Name, errClosed)
	}
	a.log.Debug("fault", "fault", f.Name)
	if r.strike == nil {
		return f, nil
	}
	return f, r.strike(a, f)
}

// ClearFault ends a fault of an account and returns how many were in force: 0
// or 1. Without a name it ends all of the account, without an account those of
// every account. An unknown account matches [ErrNotFound].
func (s *Server) ClearFault(account string, name FaultName) (int, error) {
	if name != "" {
		if _, err := ruleOf(name); err != nil {
			return 0, err
		}
	}
	if account != "" {
		a, err := s.account(account)
		if err != nil {
			return 0, fmt.Errorf("clear fault: %w", err)
		}
		return a.clear(name), nil
	}
	cleared := 0
	for _, a := range s.accounts {
		cleared += a.clear(name)
	}
	return cleared, nil
}

// Faults returns the faults in force, by account and in the order they were
// set.
func (s *Server) Faults() []Fault {
	faults := []Fault{}
	for _, id := range slices.Sorted(maps.Keys(s.accounts)) {
		faults = append(faults, s.accounts[id].inForce()...)
	}
	return faults
}

func (a *account) inForce() []Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	var faults []Fault
	for _, s := range a.faults {
		faults = append(faults, s.fault)
	}
	return faults
}

// enforce puts a fault in force, in place of one of the same name. It reports
// false when the account is closed.
func (a *account) enforce(f Fault, r rule) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.remove(func(s *standing) bool { return s.rule.name == r.name })
	s := &standing{fault: f, rule: r, upTo: a.serial}
	a.faults = append(a.faults, s)
	if f.Duration > 0 {
		s.end = time.AfterFunc(f.Duration, func() { a.lift(func(other *standing) bool { return other == s }) })
	}
	a.refresh()
	return true
}

// clear ends the faults of that name, or all, and returns how many there were.
func (a *account) clear(name FaultName) int {
	return a.lift(func(s *standing) bool { return name == "" || s.rule.name == name })
}

// lift ends faults and returns how many. Sockets that were half open end with
// it: what was written to them is lost, so they cannot go on.
func (a *account) lift(which func(*standing) bool) int {
	a.mu.Lock()
	lifted := a.remove(which)
	thawed := a.refresh()
	a.mu.Unlock()
	for _, s := range thawed {
		a.leave(s, errThawed)
	}
	return lifted
}

// remove takes faults out and stops their timers. Its caller holds mu, and
// calls refresh.
func (a *account) remove(which func(*standing) bool) int {
	before := len(a.faults)
	a.faults = slices.DeleteFunc(a.faults, func(s *standing) bool {
		if !which(s) {
			return false
		}
		if s.end != nil {
			s.end.Stop()
		}
		return true
	})
	return before - len(a.faults)
}

// refresh works out anew what the faults in force do to each socket and to the
// clock, and returns the sockets that are no longer half open. Its caller holds
// mu.
func (a *account) refresh() (thawed []*socket) {
	var skew time.Duration
	for _, f := range a.faults {
		if f.rule.skew != nil {
			skew += f.rule.skew(f.fault)
		}
	}
	a.world.step(skew)
	for _, s := range a.sockets {
		var e effect
		for _, f := range a.faults {
			if f.rule.effect != nil && (!f.rule.present || s.serial <= f.upTo) {
				f.rule.effect(f.fault, &e)
			}
		}
		was := s.effect.Swap(&e)
		if was.frozen && !e.frozen {
			thawed = append(thawed, s)
		} else {
			s.line.frozen.Store(e.frozen)
		}
	}
	return thawed
}

// entrance is what a handshake meets now.
func (a *account) entrance() door {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.door()
}

// door is entrance for a caller that holds mu.
func (a *account) door() door {
	for _, r := range rules {
		for _, f := range a.faults {
			if f.rule.name == r.name && r.door != nil {
				return r.door(f.fault)
			}
		}
	}
	return door{}
}

// desk is what a REST call meets now, and the backend's clock.
func (a *account) desk() (rebuff, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clock := time.Now().Add(a.world.skew)
	for _, r := range rules {
		for _, f := range a.faults {
			if f.rule.name == r.name && r.rest != nil {
				return r.rest(f.fault), clock
			}
		}
	}
	return rebuff{}, clock
}
