package outbox

import "github.com/switchboard-dev/switchboard/proto/event"

// covered says that an action was done by another of the same effect.
type covered struct{ event, reason string }

// readsBehind are the mark_as_read that wait right behind one: they ask for
// what it does. Those that come while it is under way are not among them, since
// a message may have come before them.
func (o *Outbox) readsBehind(j *job) []*job {
	if j.Action.Type != event.MarkAsRead {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var reads []*job
	for _, next := range o.lanes[j.Action.Conversation][1:] {
		if next.Action.Type != event.MarkAsRead {
			break
		}
		reads = append(reads, next)
	}
	return reads
}

// cover ends actions that wait by what confirmed the one before them: each has
// its own result, when its turn comes. The goroutine of their lane calls it.
func (o *Outbox) cover(reads []*job, event, reason string) {
	for _, j := range reads {
		j.covered = &covered{event, reason}
	}
}
