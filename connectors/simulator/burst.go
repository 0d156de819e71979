package simulator

import (
	"fmt"
	"slices"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// capacity is how many messages a Channels layer holds for one socket; what
// comes faster is dropped.
const capacity = 100

// burst writes messages into the latest conversation, or a new one, so fast
// that the sockets miss all that goes beyond the capacity of the layer.
func (a *account) burst(count int) error {
	a.turn.Lock()
	defer a.turn.Unlock()
	conversation := a.latest()
	if conversation == 0 {
		if err := a.announce(func(w *world) (notice, error) {
			t := w.open(w.now(), names[0])
			conversation = t.ID
			return notice{event.ConversationNew, t.conversation}, nil
		}); err != nil {
			return err
		}
	}
	withheld := 0
	defer func() { a.withhold(withheld) }()
	for i := range count {
		write := func(w *world) (notice, error) {
			m, err := w.customerWrites(w.now(), conversation, fmt.Sprintf("Message %d of %d at once", i+1, count))
			if err != nil {
				return notice{}, err
			}
			return notice{event.MessageNew, *m}, nil
		}
		if i < capacity {
			if err := a.announce(write); err != nil {
				return err
			}
			continue
		}
		_, sockets, err := a.apply(write)
		if err != nil {
			return err
		}
		withheld += len(sockets)
	}
	return nil
}

// latest is the id of the newest conversation, or zero.
func (a *account) latest() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range slices.Backward(a.world.conversations) {
		if !t.deleted {
			return t.ID
		}
	}
	return 0
}
