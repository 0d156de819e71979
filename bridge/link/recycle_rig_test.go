package link_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/connectors"
)

// recycled waits for so many replacements.
func (r *rig) recycled(n int) {
	r.t.Helper()
	r.until("recycled", func() bool { return r.Status().Recycled >= n })
}

// overlapping brings the rig to where a second socket is open beside the first.
func (r *rig) overlapping() {
	r.t.Helper()
	r.run()
	n := len(r.dialTimes())
	r.until("dialed", r.dialed(n+1))
	synctest.Wait()
	if stats, err := r.sim.Stats("7"); err != nil || stats.Sockets.Open != 2 {
		r.t.Fatalf("%d sockets are open, %v", stats.Sockets.Open, err)
	}
}

// say broadcasts frames.
func (r *rig) say(frames ...string) {
	r.t.Helper()
	for _, f := range frames {
		if err := r.sim.Broadcast("7", []byte(f)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// message is a frame like no other; update is one like each of that status.
func message(n int) string {
	return fmt.Sprintf(`{"type":"message.new","data":{"id":%d,"conversation_id":1}}`, n)
}

func update(status int) string {
	return fmt.Sprintf(`{"type":"conversation.updated","data":{"id":1,"status":%d}}`, status)
}

func messages(from, to int) (list []string) {
	for n := from; n < to; n++ {
		list = append(list, message(n))
	}
	return list
}

// got asserts which frames were given, pongs aside.
func (r *rig) got(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	sameFrames(r.t, r.frames, want)
}

func sameFrames(t *testing.T, frames []connectors.Frame, want []string) {
	t.Helper()
	var got []string
	for _, f := range frames {
		if f.Kind != connectors.Pong {
			got = append(got, string(f.Raw))
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d frames, want %d; from %d on:\n%s\nwant\n%s", len(got), len(want), i,
				strings.Join(got[min(i, len(got)):min(i+5, len(got))], "\n"), strings.Join(want[min(i, len(want)):min(i+5, len(want))], "\n"))
		}
	}
}

// undisturbed asserts that the link was connected all the time.
func (r *rig) undisturbed(recycled int) {
	r.t.Helper()
	synctest.Wait()
	if s := r.Status(); s.State != link.Connected || s.Connections != 1 || s.Recycled != recycled || len(r.changes()) != 2 {
		r.t.Errorf("status = %+v, changes: %+v", s, r.changes())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hooks != recycled {
		r.t.Errorf("Recycled was called %d times", r.hooks)
	}
}

// often makes the tests quick, which otherwise ping for half a day.
func often(o *link.Options) { o.Recycle = 20 * time.Minute }
