package outbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
)

// ErrNotReplayable: a dead letter cannot be done again from here.
var ErrNotReplayable = errors.New("cannot be replayed")

// replayMark stands between the id of an action and the sequence of the dead
// letter that it was replayed from.
const replayMark = "/replay-"

// Replay has the action of a dead letter done again, at once and as a new one
// of the same sender, returns the id of that, and removes the dead letter.
// Whatever is interrupted can be called again: the action is accepted once.
func (d *Door) Replay(ctx context.Context, sequence uint64) (id string, err error) {
	letter, err := d.bus.DeadLetter(ctx, sequence)
	if err != nil {
		return "", err
	}
	if letter.Owner != bus.OutboxOwner {
		return "", fmt.Errorf("%w as an action: dead letter %d is an event that plugin %s gave up",
			ErrNotReplayable, sequence, letter.Owner)
	}
	sender, a := letter.Action()
	a.ID = replayID(a.ID, sequence)
	a.At, a.Expires = time.Time{}, time.Time{}
	if _, err := d.Act(ctx, sender, a); err != nil {
		return "", err
	}
	return a.ID, d.bus.DropDead(ctx, sequence)
}

// replayID is the id of the action that a dead letter becomes: the same, each
// time it is tried.
func replayID(id string, sequence uint64) string {
	if i := strings.LastIndex(id, replayMark); i >= 0 { // it was replayed before
		if _, err := strconv.ParseUint(id[i+len(replayMark):], 10, 64); err == nil {
			id = id[:i]
		}
	}
	return id + replayMark + strconv.FormatUint(sequence, 10)
}
