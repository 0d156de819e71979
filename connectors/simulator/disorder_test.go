package simulator_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

// hearMessages hears that many frames and returns the ids of the new messages,
// and what the updates say.
func hearMessages(t *testing.T, c *client, frames int) (ids []int64, updates []string) {
	t.Helper()
	for range frames {
		var f struct {
			Type string
			Data struct {
				ID      int64
				Content string
			}
		}
		if err := json.Unmarshal(c.raw(t), &f); err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case "message.new":
			ids = append(ids, f.Data.ID)
		case "message.updated":
			updates = append(updates, f.Data.Content)
		default:
			t.Fatalf("a %s", f.Type)
		}
	}
	return ids, updates
}

func TestReorderLetsFewOvertakeAndNoUpdateComeFirst(t *testing.T) {
	const messages, late = 100, 3
	b := serve(t, simulator.Options{})
	id := b.open(t)
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Reorder, Count: late})
	var edits []string
	for n := range messages {
		m := b.write(t, id, "Hello")
		if n%4 == 0 {
			edits = append(edits, fmt.Sprint("Edit ", n))
			if err := b.CustomerEdits("7", m, edits[len(edits)-1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids, updates := hearMessages(t, c, messages+len(edits))
	if slices.IsSorted(ids) {
		t.Error("nothing was overtaken")
	}
	for i, id := range ids {
		before := 0
		for _, other := range ids[:i] {
			if other > id {
				before++
			}
		}
		if before > late {
			t.Errorf("message %d was overtaken by %d", id, before)
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != messages {
		t.Error("a message is missing or came twice")
	}
	if !slices.Equal(updates, edits) {
		t.Errorf("edits came as %v", updates)
	}

	if _, err := b.ClearFault("7", simulator.Reorder); err != nil {
		t.Fatal(err)
	}
	for range messages {
		b.write(t, id, "Hello")
	}
	if ids, _ = hearMessages(t, c, messages); !slices.IsSorted(ids) {
		t.Error("it goes on after it was cleared")
	}
}

func TestLossyKeepsSomeFromSocketsAndAllForREST(t *testing.T) {
	const messages = 200
	b := serve(t, simulator.Options{Seed: 1})
	id := b.open(t)
	c := b.dial(t)
	b.fault(t, simulator.Fault{Name: simulator.Lossy, Percent: 50})
	for range messages {
		b.write(t, id, "Hello")
	}
	withheld := b.stats(t).Withheld
	if withheld < messages/4 || withheld > messages*3/4 {
		t.Errorf("%d of %d were withheld", withheld, messages)
	}
	hearMessages(t, c, messages-withheld)
	c.hearsNothingElse(t) // a pong is no event
	var d struct{ Messages []any }
	if b.do(t, "GET", list+"1/", "", &d); len(d.Messages) != messages {
		t.Errorf("REST has %d of %d", len(d.Messages), messages)
	}
}
