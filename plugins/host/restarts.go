package host

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// restartInitial and restartMax bound the wait before a plugin that ended
	// is started again.
	restartInitial, restartMax = time.Second, 2 * time.Minute
	// healthy is how long a plugin must run, and say nothing else of itself,
	// for that wait to begin anew.
	healthy = 10 * time.Minute
	// A plugin that crashes maxCrashes times within crashWindow is set aside.
	maxCrashes, crashWindow = 5, 10 * time.Minute
)

// restarts decides whether, and when, a plugin that ended is started again.
type restarts struct {
	wait    *backoff.ExponentialBackOff
	crashes []time.Time // the latest, at most maxCrashes
}

func newRestarts() *restarts {
	return &restarts{wait: &backoff.ExponentialBackOff{
		InitialInterval: restartInitial, MaxInterval: restartMax, Multiplier: 2, RandomizationFactor: 0.5,
	}}
}

// ended takes note of an end that nobody asked for, and returns how long to
// wait. ran is how long the plugin was in good health; crash says that it is
// the plugin's own fault. Looping tells that it is to be set aside instead.
func (r *restarts) ended(now time.Time, ran time.Duration, crash bool) (wait time.Duration, looping bool) {
	if ran >= healthy {
		r.wait.Reset()
	}
	if !crash {
		return r.wait.NextBackOff(), false
	}
	r.crashes = append(r.crashes, now)
	if len(r.crashes) > maxCrashes {
		r.crashes = r.crashes[1:]
	}
	if len(r.crashes) == maxCrashes && now.Sub(r.crashes[0]) <= crashWindow {
		return 0, true
	}
	return r.wait.NextBackOff(), false
}

// forget begins anew: somebody has looked into it.
func (r *restarts) forget() { *r = *newRestarts() }
