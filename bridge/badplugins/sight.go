package badplugins

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// sight is what there is to see of a bad plugin, from outside.
type sight struct {
	// history is how its status went, a sighting for each state and process.
	history []sighting
	// records is what it wrote down.
	records []record
	// log is what the bridge has logged.
	log string
}

// sighting is a plugin's status when it was first seen to be so.
type sighting struct {
	at time.Time
	standing
}

// standing is how a plugin stands, as `switchboard status --json` shows it.
type standing struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Reason   string `json:"reason"`
	PID      int    `json:"pid"`
	Restarts int    `json:"restarts"`
	Feeds    []struct {
		Acked uint64 `json:"acked"`
		Dead  uint64 `json:"dead"`
	} `json:"feeds"`
	Accepted uint64 `json:"actions_accepted"`
	Refused  uint64 `json:"actions_refused"`
}

func (p standing) String() string {
	if p.Reason == "" {
		return p.State
	}
	return p.State + ": " + p.Reason
}

// see adds how the plugin stands now. Its counts grow in the last sighting.
func (s *sight) see(now time.Time, p standing) {
	if n := len(s.history); n > 0 {
		last := &s.history[n-1]
		if last.State == p.State && last.Reason == p.Reason && last.Restarts == p.Restarts {
			last.standing = p
			return
		}
	}
	s.history = append(s.history, sighting{now, p})
}

// now is the last sighting; the zero one: there was none.
func (s *sight) now() standing {
	if len(s.history) == 0 {
		return standing{}
	}
	return s.history[len(s.history)-1].standing
}

// strikes are when it did its harm.
func (s *sight) strikes() (list []record) {
	for _, r := range s.records {
		if r.Kind == struck {
			list = append(list, r)
		}
	}
	return list
}

// noticed is how long it took from the first harm that it did as it ran until
// the plugin was not that process any more; 0: it is still.
func (s *sight) noticed() time.Duration {
	strikes := s.strikes()
	ran := slices.IndexFunc(s.history, func(h sighting) bool { return h.State == running })
	if len(strikes) == 0 || ran < 0 {
		return 0
	}
	began := strikes[0].time()
	for _, h := range s.history[ran:] {
		if h.at.After(began) && (h.Restarts > 0 || h.State != running) {
			return h.at.Sub(began)
		}
	}
	return 0
}

// The judges of single rows. Each returns what is not as it must be.

func all(judges ...func(*sight) string) func(*sight) string {
	return func(s *sight) string {
		for _, judge := range judges {
			if wrong := judge(s); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}

func is(states ...string) func(*sight) string {
	return func(s *sight) string {
		if now := s.now(); !slices.Contains(states, now.State) {
			return fmt.Sprintf("it is %s, and not %s", now, strings.Join(states, " or "))
		}
		return ""
	}
}

// comesTo wants one of the states at the end, with that in its reason.
func comesTo(because string, states ...string) func(*sight) string {
	return func(s *sight) string {
		if wrong := is(states...)(s); wrong != "" {
			return wrong
		}
		if now := s.now(); !strings.Contains(now.Reason, because) {
			return fmt.Sprintf("it is %s, for which the reason is not %q", now, because)
		}
		return ""
	}
}

// says wants that to have been the reason why it did not run: in its status,
// or in the log, where it was that for less time than a busy machine takes to
// look.
func says(because string) func(*sight) string {
	return func(s *sight) string {
		for _, h := range s.history {
			if h.State != running && strings.Contains(h.Reason, because) {
				return ""
			}
		}
		if strings.Contains(s.logged(), because) {
			return ""
		}
		return fmt.Sprintf("it is %s, and never said %q", s.now(), because)
	}
}

// logged are the lines of the log that are about it, without the marks of what
// is quoted in quotes.
func (s *sight) logged() string {
	var about strings.Builder
	for line := range strings.Lines(s.log) {
		if strings.Contains(line, " plugin="+bad) {
			about.WriteString(strings.ReplaceAll(line, `\"`, `"`))
		}
	}
	return about.String()
}

func hasStruck(s *sight) string {
	if len(s.strikes()) == 0 {
		return "it did not come to what it does badly"
	}
	return ""
}

// runsOn wants the process that did the harm to be there still.
func runsOn(s *sight) string {
	if wrong := hasStruck(s); wrong != "" {
		return wrong
	}
	if now := s.now(); now.State != running || now.Restarts > 0 {
		return fmt.Sprintf("it is %s, after %d restarts, and should run on", now, now.Restarts)
	}
	return ""
}

// startedAgain wants it noticed in time, and running again; why is for says.
func startedAgain(s *sight) string {
	if wrong := hasStruck(s); wrong != "" {
		return wrong
	}
	took := s.noticed()
	switch {
	case took == 0:
		return "it was not noticed"
	case took > hung:
		return fmt.Sprintf("it was noticed after %s", took.Round(100*time.Millisecond))
	case !slices.ContainsFunc(s.history, func(h sighting) bool { return h.Restarts > 0 && h.State == running }):
		return fmt.Sprintf("it is %s, and did not run again", s.now())
	}
	return ""
}

// cameAgain wants the events of its strikes delivered to a later process, where
// there was one.
func cameAgain(s *sight) string {
	if wrong := hasStruck(s); wrong != "" {
		return wrong
	}
	for i, r := range s.records {
		if r.Kind != struck {
			continue
		}
		later := s.records[i:]
		other := slices.IndexFunc(later, func(l record) bool { return l.Process != r.Process })
		if other < 0 {
			continue // it was the last process
		}
		if !slices.ContainsFunc(later[other:], func(l record) bool { return l.Kind == gotEvent && l.ID == r.ID }) {
			return fmt.Sprintf("event %s, at which it struck, did not come again", r.ID)
		}
	}
	return ""
}

func hasDeadLetters(s *sight) string {
	for _, f := range s.now().Feeds {
		if f.Dead > 0 {
			return ""
		}
	}
	return "there is no dead letter"
}

// neverRan wants it to have been given nothing.
func neverRan(s *sight) string {
	if len(s.records) > 0 {
		return fmt.Sprintf("it ran: it got %d records", len(s.records))
	}
	return ""
}

func wasTold(code string) func(*sight) string {
	return func(s *sight) string {
		for _, r := range s.records {
			if r.Kind == answeredBy && r.ID == code {
				return ""
			}
		}
		return fmt.Sprintf("none of its actions was answered with %s", code)
	}
}

// logs wants these texts in the lines of the log that are about it.
func logs(texts ...string) func(*sight) string {
	return func(s *sight) string {
		about := s.logged()
		for _, text := range texts {
			if !strings.Contains(about, text) {
				return fmt.Sprintf("%q is not in the log under its name", text)
			}
		}
		return ""
	}
}

// forgesNothing wants no line of its making under another's name.
func forgesNothing(s *sight) string {
	for line := range strings.Lines(s.log) {
		if strings.Contains(line, forged) && strings.Contains(line, " plugin="+recorder) {
			return "it wrote into the log under another's name: " + strings.TrimSpace(line)
		}
	}
	return ""
}
