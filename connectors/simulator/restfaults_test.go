package simulator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// get makes a REST call and returns its status and header.
func (b *backend) get(t *testing.T, path string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.http.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+token)
	resp, err := b.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestRESTIsAwayWhileSocketsGoOn(t *testing.T) {
	for name, want := range map[simulator.FaultName]struct {
		status int
		after  string
	}{
		simulator.RestDown: {http.StatusServiceUnavailable, ""},
		simulator.Busy:     {http.StatusTooManyRequests, "1"},
	} {
		t.Run(string(name), func(t *testing.T) {
			b := serve(t, simulator.Options{})
			c := b.dial(t)
			b.fault(t, simulator.Fault{Name: name})
			id := b.open(t)
			for _, path := range []string{list, list + "1/"} {
				status, header := b.get(t, path)
				if status != want.status || header.Get("Retry-After") != want.after {
					t.Errorf("%s: status %d, Retry-After %q", path, status, header.Get("Retry-After"))
				}
			}
			c.next(t, "conversation.new")
			late := b.dial(t)
			b.write(t, id, "Hello")
			late.next(t, "message.new")
			if n, err := b.ClearFault("7", name); n != 1 || err != nil {
				t.Fatalf("cleared %d, %v", n, err)
			}
			if status, _ := b.get(t, list); status != http.StatusOK {
				t.Errorf("after it: status %d", status)
			}
		})
	}
}

func TestSkewMovesTheWholeClock(t *testing.T) {
	for name, test := range map[string]struct{ given, want time.Duration }{
		"on": {0, time.Hour}, "back": {-2 * time.Hour, -2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, simulator.Options{})
			id := b.open(t)
			message := b.write(t, id, "Hello")
			b.fault(t, simulator.Fault{Name: simulator.Skew, Offset: test.given})
			if err := b.CustomerEdits("7", message, "Hallo"); err != nil {
				t.Fatal(err)
			}
			b.write(t, id, "Now")
			snap := b.snapshot(t)
			off := map[string]time.Time{
				"updated_at": snap.Messages[0].UpdatedAt, "created_at": snap.Messages[1].CreatedAt,
				"last_activity_at": snap.Conversations[0].LastActivityAt, "Date": b.clock(t),
			}
			for what, at := range off {
				if d := time.Until(at) - test.want; d.Abs() > time.Minute {
					t.Errorf("%s is off by %v, want %v", what, time.Until(at), test.want)
				}
			}
			if _, err := b.ClearFault("7", simulator.Skew); err != nil {
				t.Fatal(err)
			}
			b.write(t, id, "After")
			if at := b.snapshot(t).Messages[2].CreatedAt; time.Until(at).Abs() > time.Minute {
				t.Errorf("after it a message is of %v", at)
			}
			if at := b.clock(t); time.Until(at).Abs() > time.Minute {
				t.Errorf("after it the clock is at %v", at)
			}
		})
	}
}

// clock is what REST says of the time.
func (b *backend) clock(t *testing.T) time.Time {
	t.Helper()
	_, header := b.get(t, list)
	at, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNoRowIsSkippedWhileRowsMove(t *testing.T) {
	b := serve(t, simulator.Options{PageSize: 2})
	var since time.Time
	for n := range 6 {
		id := b.open(t)
		if n == 1 {
			since = b.snapshot(t).Conversations[1].LastActivityAt
		}
		b.write(t, id, "Hello")
	}
	b.write(t, 1, "I was here before")
	seen := map[int64]bool{}
	query := "?ordering=-last_activity_at&last_activity_after=" + since.UTC().Format(time.RFC3339Nano)
	next := list + query
	for next != "" {
		var p page
		b.do(t, "GET", next, "", &p)
		for i, c := range p.Results {
			seen[c.ID] = true
			if i > 0 && c.LastActivityAt.After(p.Results[i-1].LastActivityAt) {
				t.Errorf("%d is out of order", c.ID)
			}
		}
		next = ""
		if p.Next != nil {
			next = (*p.Next)[len(b.http.URL):]
			b.write(t, 2, "I move to the top") // from the last page to the first
		}
	}
	for id := int64(1); id <= 6; id++ {
		if !seen[id] && id != 2 { // 2 is in what a first page would show now
			t.Errorf("%d was skipped: %v", id, seen)
		}
	}
	var p page
	b.do(t, "GET", list+"?last_activity_after="+b.snapshot(t).Conversations[0].LastActivityAt.UTC().Format(time.RFC3339Nano), "", &p)
	if got := ids(p.Results); len(got) != 2 || got[0] != 2 || got[1] != 1 {
		t.Errorf("active since the last change of 1: %v", got)
	}
}

func (b *backend) snapshot(t *testing.T) simulator.Snapshot {
	t.Helper()
	snap, err := b.Snapshot("7")
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func TestASnapshotIsWhatRESTHasAndWhatWasDone(t *testing.T) {
	b := serve(t, simulator.Options{History: 3})
	snap := b.snapshot(t)
	before := len(snap.Messages)
	id, gone := b.open(t), b.open(t)
	message := b.write(t, id, "Hello")
	b.write(t, gone, "Forget me")
	c := b.dial(t)
	for _, action := range []string{
		`{"type":"send_message","data":{"conversation_id":4,"content":"Hi","client_ref":"a"}}`,
		`{"type":"start_typing","data":{"conversation_id":4,"client_ref":"t"}}`,
		`{"type":"send_message","data":{"conversation_id":5,"content":"Bye","client_ref":"b"}}`,
		`{"type":"update_status","data":{"conversation_id":4,"status":1,"client_ref":"c"}}`,
		`{"type":"send_message","data":{"conversation_id":99,"content":"Hi","client_ref":"failed"}}`,
		`{"type":"mark_as_read","data":{"conversation_id":4}}`,
		`{"type":"ping"}`,
	} {
		c.send(t, action)
	}
	for kindOf(t, c.raw(t)) != "pong" {
	}
	if err := b.CustomerEdits("7", message, "Hallo"); err != nil {
		t.Fatal(err)
	}
	if err := b.Label("7", id, "vip"); err != nil {
		t.Fatal(err)
	}
	c.next(t, "message.updated")
	if labels, _ := c.next(t, "conversation.updated")["cached_label_list"].([]any); len(labels) != 1 || labels[0] != "vip" {
		t.Errorf("labels are told as %v", labels)
	}
	if err := b.Delete("7", gone); err != nil {
		t.Fatal(err)
	}
	c.hearsNothingElse(t)

	snap = b.snapshot(t)
	if n := len(snap.Messages); n != before+2 || snap.Messages[n-2].Content != "Hallo" || snap.Messages[n-1].Content != "Hi" {
		t.Errorf("messages are %+v", snap.Messages[before:])
	}
	if n := len(snap.Conversations); n != 4 || snap.Conversations[3].ID != id || snap.Conversations[3].Status != event.StatusResolved {
		t.Errorf("conversations are %+v", snap.Conversations)
	}
	if len(snap.Deleted) != 1 || snap.Deleted[0] != gone {
		t.Errorf("deleted: %v", snap.Deleted)
	}
	want := []simulator.Done{
		{Ref: "a", Type: event.SendMessage, Conversation: id, Content: "Hi"},
		{Ref: "b", Type: event.SendMessage, Conversation: gone, Content: "Bye"},
		{Ref: "c", Type: event.UpdateStatus, Conversation: id, Status: event.StatusResolved},
		{Type: event.MarkAsRead, Conversation: id},
	}
	if len(snap.Done) != len(want) {
		t.Fatalf("done: %+v", snap.Done)
	}
	for i, d := range snap.Done {
		if d != want[i] {
			t.Errorf("done %d is %+v, want %+v", i, d, want[i])
		}
	}
}

func TestADeletedConversationIsGone(t *testing.T) {
	b := serve(t, simulator.Options{Rate: 10_000, Conversations: 3})
	id := b.open(t)
	message := b.write(t, id, "Hello")
	if err := b.Delete("7", id); err != nil {
		t.Fatal(err)
	}
	if status, _ := b.get(t, list+"1/"); status != http.StatusNotFound {
		t.Errorf("its detail: status %d", status)
	}
	var p page
	if b.do(t, "GET", list, "", &p); p.Count != 0 {
		t.Errorf("%d are listed", p.Count)
	}
	for name, do := range map[string]func() error{
		"write":  func() error { _, err := b.CustomerWrites("7", id, "Hi"); return err },
		"edit":   func() error { return b.CustomerEdits("7", message, "Hi") },
		"delete": func() error { return b.Delete("7", id) },
		"label":  func() error { return b.Label("7", id, "vip") },
	} {
		if err := do(); err == nil {
			t.Errorf("%s succeeds", name)
		}
	}
	b.fault(t, simulator.Fault{Name: simulator.Burst, Count: 2}) // opens another
	if next := b.open(t); next != 3 {
		t.Errorf("the next conversation is %d", next)
	}

	// Customers go on elsewhere.
	done := make(chan error, 1)
	go func() { done <- b.Run(t.Context()) }()
	for n := range 20 {
		b.await(t, "customers write", func(s simulator.Stats) bool { return s.Messages > 20*n })
		for _, c := range b.snapshot(t).Conversations {
			if err := b.Delete("7", c.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
