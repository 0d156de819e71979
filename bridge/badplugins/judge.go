package badplugins

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// evidence is all that a row is judged by.
type evidence struct {
	bounds bounds
	// published is the stream, in its order.
	published []published
	// got is what the good plugins wrote down, by name.
	got map[string][]record
	// done is how often the backend did each answer.
	done map[string]int
	// goods is how the good plugins stand, and bad what there is to see of the
	// bad one; judge says what is wrong with that.
	goods []standing
	bad   sight
	judge func(*sight) string
	// check is what `switchboard check` said; mustSay must be in it.
	check, mustSay string
	// left are processes, and sockets files in their directory, that should
	// not be there any more.
	left, sockets []string
	// stopTook is how long SIGTERM took; stopWrong is what was not in order.
	stopTook  time.Duration
	stopWrong string
}

// bounds say what is late.
type bounds struct{ late, tooLate time.Duration }

// stopBound is what the bridge promises of SIGTERM.
const stopBound = 10 * time.Second

// conclude fills in the row.
func (r *Row) conclude(e *evidence) {
	r.Published = len(e.published)
	var lateness []time.Duration
	for _, name := range []string{recorder, replier} {
		lateness = append(lateness, r.delivered(e, name)...)
	}
	r.P99, r.Max = r.late(&r.Late, "late", lateness, e.bounds)
	r.acted(e)
	for _, p := range e.goods {
		if p.State != running || p.Restarts > 0 {
			r.found(&r.Harmed, "harmed", "%s is %s, after %d restarts", p.Name, p, p.Restarts)
		}
	}
	r.ended(e)
}

// delivered compares what there was with what one good plugin got, and returns
// how late each event was.
func (r *Row) delivered(e *evidence, name string) (lateness []time.Duration) {
	first := map[string]record{}
	var order []string // of the first deliveries
	for _, got := range e.got[name] {
		switch _, again := first[got.ID]; {
		case got.Kind != gotEvent, got.Attempt > 1: // it asked for it again, when its action was refused
		case again:
			r.found(&r.Twice, "twice", "%s got %s twice", name, got.ID)
		default:
			first[got.ID] = got
			order = append(order, got.ID)
		}
	}
	place := map[string]int{}
	for i, p := range e.published {
		// What its own actions caused a plugin does not get, but how they ended.
		if p.by == name && !event.Pattern("action.*").Matches(p.kind) {
			continue
		}
		r.Due++
		got, there := first[p.id]
		if !there {
			r.found(&r.Lost, "lost", "%s did not get %s (%s) of conversation %s", name, p.id, p.kind, p.conversation)
			continue
		}
		r.Got++
		place[p.id] = i + 1
		lateness = append(lateness, got.time().Sub(p.at))
	}
	last := map[string]int{}
	for _, id := range order {
		conversation := first[id].Conversation
		if place[id] == 0 {
			continue // it was published after the last look
		}
		if place[id] < last[conversation] {
			r.found(&r.Order, "order", "%s got %s after a later event of conversation %s", name, id, conversation)
		}
		last[conversation] = max(last[conversation], place[id])
	}
	return lateness
}

// late counts what is later than the bounds, and returns what 99 of 100 are not
// later than, and the latest.
func (r *Row) late(n *int, column string, all []time.Duration, b bounds) (p99, latest float64) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	of100 := all[(len(all)-1)*99/100]
	for _, d := range all {
		if d > b.tooLate || d > b.late && of100 > b.late {
			r.found(n, column, "%s late, and 99 of 100 at most %s", d.Round(time.Millisecond), of100.Round(time.Millisecond))
		}
	}
	return of100.Seconds(), all[len(all)-1].Seconds()
}

// actionWays is how much longer than an event an action may take: it goes to the
// queue, to the backend and back.
const actionWays = 3

// ends are how actions end.
var ends = []event.Type{event.ActionConfirmed, event.ActionFailed, event.ActionExpired}

// acted follows the answers of the replier.
func (r *Row) acted(e *evidence) {
	results := map[string]published{}
	for _, p := range e.published {
		if p.by == replier && slices.Contains(ends, p.kind) {
			results[p.action] = p
		}
	}
	var took []time.Duration
	for _, a := range e.got[replier] {
		switch a.Kind {
		case refused:
			r.found(&r.Refused, "refused", "%s: %s", a.ID, a.Text)
		case accepted:
			r.Actions++
			result, told := results[a.ID]
			switch {
			case !told:
				r.found(&r.Untold, "untold", "%s has no result", a.ID)
			case result.kind != event.ActionConfirmed:
				r.found(&r.Failed, "failed", "%s ended as %s", a.ID, result.kind)
			default:
				took = append(took, result.at.Sub(a.time()))
			}
			switch n := e.done[a.ID]; {
			case n == 0:
				r.found(&r.Undone, "undone", "%s was accepted and not done", a.ID)
			case n > 1:
				r.found(&r.DoneTwice, "done twice", "%s was done %d times", a.ID, n)
			default:
				r.Done++
			}
		}
	}
	r.ActionP99, r.ActionMax = r.late(&r.Slow, "slow", took, bounds{actionWays * e.bounds.late, actionWays * e.bounds.tooLate})
}

// ended says how the bad plugin, and then all, came to an end.
func (r *Row) ended(e *evidence) {
	now := e.bad.now()
	r.State, r.Reason = cmp.Or(now.State, "-"), now.Reason
	for _, h := range e.bad.history {
		r.Reason = cmp.Or(r.Reason, h.Reason) // one that runs again tells no more why it did not
	}
	r.Restarts, r.BadAccepted, r.BadRefused = now.Restarts, now.Accepted, now.Refused
	r.Noticed = e.bad.noticed().Seconds()
	if wrong := e.judge(&e.bad); wrong != "" {
		r.found(&r.Wrong, "wrong end", "%s", wrong)
	}
	if !strings.Contains(e.check, e.mustSay) {
		r.found(&r.Wrong, "wrong end", "`switchboard check` says %q, and not %q", e.check, e.mustSay)
	}
	for _, p := range e.left {
		r.found(&r.Left, "processes", "%s", p)
	}
	for _, s := range e.sockets {
		r.found(&r.Sockets, "sockets", "%s", s)
	}
	r.Stop = e.stopTook.Seconds()
	if e.stopTook > stopBound {
		r.found(&r.Stops, "stop", "SIGTERM took %s", e.stopTook.Round(10*time.Millisecond))
	}
	if e.stopWrong != "" {
		r.found(&r.Stops, "stop", "the bridge: %s", e.stopWrong)
	}
}

// keptDetails is how many there are of a column.
const keptDetails = 5

// found counts something that is wrong.
func (r *Row) found(n *int, column, format string, args ...any) {
	if *n++; *n > keptDetails {
		return
	}
	if r.Details == nil {
		r.Details = map[string][]string{}
	}
	r.Details[column] = append(r.Details[column], fmt.Sprintf(format, args...))
}
