package connectortest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// readerTests are those of a connector as a Reader.
var readerTests = []check{
	{"a list has every conversation, the most recently active first", lists},
	{"a list leaves out those without activity since", listsActive},
	{"a conversation that moves while it is listed is skipped in no list", listsWhatMoves},
	{"a conversation has all its messages, oldest first", readsMessages},
	{"a conversation of any length is read", readsManyMessages},
	{"what is not there is not found, and nothing else", findsNot},
	{"a wrong token is refused when reading", refusesToRead},
	{"a busy backend says for how long", busy},
	{"a call ends with its context", callEnds},
}

// some is enough conversations for several pages.
const some = 10

// lists opens conversations and asserts that the last comes first.
func lists(t *testing.T, b Backend) {
	var want []string
	for range some {
		want = append(want, b.Conversation(t))
	}
	active := want[2]
	b.Write(t, active, 1)
	want = append(slices.Delete(want, 2, 3), active)
	slices.Reverse(want)
	all := list(t, b, time.Time{}, nil)
	if got := conversations(all); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, f := range all {
		if f.Kind != connectors.Event || f.Type != event.ConversationUpdated || f.Object != f.Conversation || len(f.Data) == 0 {
			t.Errorf("a conversation is %s", show(f))
		}
		if time.Since(f.Received).Abs() > patience {
			t.Errorf("it was received at %s", f.Received)
		}
	}
}

func listsActive(t *testing.T, b Backend) {
	var ids []string
	for range some {
		ids = append(ids, b.Conversation(t))
	}
	activity := func(id string) time.Time {
		d, err := b.Connector(b.Token()).Conversation(within(t), id)
		if err != nil || len(d.Messages) == 0 {
			t.Fatalf("%d messages, %v", len(d.Messages), err)
		}
		return d.Messages[len(d.Messages)-1].Time
	}
	for i, id := range ids {
		got := conversations(list(t, b, activity(id), nil))
		// A bound may or may not include the time itself: ask for one later.
		if want := ids[i+1:]; len(got) < len(want) || len(got) > len(want)+1 || len(want) > 0 && got[0] != want[len(want)-1] {
			t.Errorf("active after %s: %v", id, got)
		}
	}
	if got := list(t, b, time.Now().Add(24*time.Hour), nil); len(got) != 0 {
		t.Errorf("active after tomorrow: %v", conversations(got))
	}
}

func listsWhatMoves(t *testing.T, b Backend) {
	var ids []string
	for range some {
		ids = append(ids, b.Conversation(t))
	}
	began := list(t, b, time.Time{}, nil)[0].Conversation
	moved := map[string]bool{}
	got := conversations(list(t, b, time.Time{}, func() {
		moved[ids[len(moved)]] = true
		b.Write(t, ids[len(moved)-1], 1) // from the end of the list to its beginning
	}))
	for _, id := range ids {
		if !slices.Contains(got, id) && !moved[id] {
			t.Errorf("%s is not in %v, which began with %s", id, got, began)
		}
	}
}

func readsMessages(t *testing.T, b Backend) {
	one, other := b.Conversation(t), b.Conversation(t)
	b.Write(t, one, 20)
	b.Write(t, other, 1)
	messages(t, b, one, 21) // the first came with the conversation
}

func readsManyMessages(t *testing.T, b Backend) {
	id := b.Conversation(t)
	b.Write(t, id, 9_999)
	messages(t, b, id, 10_000)
}

// messages reads a conversation and asserts that its messages are that many, in
// order.
func messages(t *testing.T, b Backend, id string, want int) {
	t.Helper()
	d, err := b.Connector(b.Token()).Conversation(within(t), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Messages) != want {
		t.Errorf("%d messages, want %d", len(d.Messages), want)
	}
	last, seen := time.Time{}, map[string]bool{}
	for _, f := range d.Messages {
		if f.Kind != connectors.Event || f.Type != event.MessageNew || f.Conversation != id || f.Object == "" || seen[f.Object] ||
			f.Time.Before(last) || f.Updated.Before(f.Time) || f.SenderType != event.SenderContact || len(f.Data) == 0 {
			t.Fatalf("after %s a message is %s", last, show(f))
		}
		last, seen[f.Object] = f.Time, true
	}
	if !d.Date.IsZero() && d.Date.Before(last.Add(-time.Second)) {
		t.Errorf("the backend's clock is %s, after a message of %s", d.Date, last)
	}
}

func findsNot(t *testing.T, b Backend) {
	gone, kept := b.Conversation(t), b.Conversation(t)
	n, err := strconv.Atoi(kept)
	if err != nil {
		t.Fatal(err)
	}
	b.Forget(t, gone)
	for _, id := range []string{gone, strconv.Itoa(n + 1000)} {
		_, err := b.Connector(b.Token()).Conversation(within(t), id)
		if !errors.Is(err, connectors.ErrNotFound) || errors.Is(err, connectors.ErrRefused) {
			t.Errorf("conversation %s: err = %v, want one that is ErrNotFound", id, err)
		}
	}
	messages(t, b, kept, 1)
	if got := conversations(list(t, b, time.Time{}, nil)); !slices.Equal(got, []string{kept}) {
		t.Errorf("listed: %v", got)
	}
}

func refusesToRead(t *testing.T, b Backend) {
	wrong := "wr0ng + t/ken?&" + b.Token()
	for what, err := range reads(within(t), b.Connector(wrong), b.Conversation(t)) {
		if !errors.Is(err, connectors.ErrRefused) || errors.Is(err, connectors.ErrNotFound) {
			t.Errorf("%s: err = %v, want one that is ErrRefused", what, err)
			continue
		}
		showsNot(t, err.Error(), wrong, b.Token())
	}
}

func busy(t *testing.T, b Backend) {
	id := b.Conversation(t)
	b.Busy(t)
	for what, err := range reads(within(t), b.Connector(b.Token()), id) {
		is, ok := errors.AsType[*connectors.Busy](err)
		if !ok || is.After != time.Second {
			t.Errorf("%s: err = %#v, want one that is Busy for a second", what, err)
			continue
		}
		showsNot(t, err.Error(), b.Token())
		showsNot(t, is.Error(), b.Token())
	}
}

func callEnds(t *testing.T, b Backend) {
	id := b.Conversation(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range reads(ctx, b.Connector(b.Token()), id) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, connectors.ErrRefused) || errors.Is(err, connectors.ErrPermanent) {
			t.Errorf("%s: err = %v, want one that is the context's", what, err)
			continue
		}
		showsNot(t, err.Error(), b.Token())
	}
}

// reads makes every call of a Reader and returns their errors.
func reads(ctx context.Context, r connectors.Reader, id string) map[string]error {
	_, listed := r.Conversations(ctx, connectors.Query{})
	_, read := r.Conversation(ctx, id)
	return map[string]error{"list": listed, "read": read}
}

// list follows a list to its end, calls between before every page but the
// first, and asserts that it says what time it is or nothing.
func list(t *testing.T, b Backend, after time.Time, between func()) (all []connectors.Frame) {
	t.Helper()
	c, q := b.Connector(b.Token()), connectors.Query{ActiveAfter: after}
	for range 10 * some {
		p, err := c.Conversations(within(t), q)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Date.IsZero() && time.Since(p.Date).Abs() > patience {
			t.Errorf("the backend's clock is %s", p.Date)
		}
		all = append(all, p.Conversations...)
		if p.Next == "" {
			return all
		}
		q.Page = p.Next
		if between != nil {
			between()
		}
	}
	t.Fatal("the list has no end")
	return nil
}

// conversations are the ids of those listed.
func conversations(frames []connectors.Frame) (ids []string) {
	for _, f := range frames {
		ids = append(ids, f.Conversation)
	}
	return ids
}
