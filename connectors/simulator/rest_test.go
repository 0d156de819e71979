package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

const list = "/api/v1/accounts/7/conversations/"

type page struct {
	Count          int
	Next, Previous *string
	Results        []event.Conversation
}

func ids(conversations []event.Conversation) []int64 {
	got := []int64{}
	for _, c := range conversations {
		got = append(got, c.ID)
	}
	return got
}

func TestTheListIsFiltered(t *testing.T) {
	// Six conversations: 1 and 2 have messages of customers, 2 and 3 are
	// answered by the agent, 4 is snoozed, 5 resolved.
	b := serve(t, simulator.Options{})
	for range 6 {
		b.open(t)
	}
	b.write(t, 1, "What is the PRICE?")
	b.write(t, 2, "Thanks")
	c := b.dial(t)
	for _, action := range []string{
		`{"type":"send_message","data":{"conversation_id":2,"content":"Welcome"}}`,
		`{"type":"send_message","data":{"conversation_id":3,"content":"Hello"}}`,
		`{"type":"update_status","data":{"conversation_id":4,"status":3}}`,
		`{"type":"update_status","data":{"conversation_id":5,"status":1}}`,
	} {
		c.send(t, action)
		c.raw(t)
	}
	var all page
	b.do(t, "GET", list+"?ordering=id", "", &all)
	created := func(i int) string { return all.Results[i].CreatedAt.Format("2006-01-02T15:04:05.000000Z07:00") }

	tests := []struct {
		name, query string
		want        []int64
	}{
		{"the latest activity first by default", "", []int64{3, 2, 1, 6, 5, 4}},
		{"by a status", "status=1", []int64{5}},
		{"by several statuses", "status=1&status=3&ordering=id", []int64{4, 5}},
		{"by priority", "priority=1&priority=2&ordering=id", []int64{1, 2, 5, 6}},
		{"by assignee", "assignee=3&ordering=id", []int64{3, 6}},
		{"by assignee nobody has", "assignee=4", []int64{}},
		{"unassigned", "unassigned=true&ordering=id", []int64{1, 2, 4, 5}},
		{"not unassigned", "unassigned=false&ordering=id", []int64{3, 6}},
		{"by inbox", "inbox=1&ordering=id", []int64{2, 4, 6}},
		{"by team", "team=1&ordering=id", []int64{2, 4, 6}},
		{"by a label nobody has", "labels=vip", []int64{}},
		{"by kind of contact", "contact_type=lead&ordering=id", []int64{2, 4, 6}},
		{"unread", "has_unread=true&ordering=id", []int64{1, 2}},
		{"snoozed", "is_snoozed=True", []int64{4}},
		{"waiting for the agent", "waiting_for=agent", []int64{1}},
		{"waiting for the customer", "waiting_for=customer&ordering=id", []int64{2, 3}},
		{"created after, inclusive", "created_after=" + created(4) + "&ordering=id", []int64{5, 6}},
		{"created before, inclusive", "created_before=" + created(1) + "&ordering=id", []int64{1, 2}},
		{"active after", "last_activity_after=" + created(5), []int64{3, 2, 1, 6}},
		{"active before", "last_activity_before=" + created(5), []int64{6, 5, 4}},
		{"by a word, whatever its case", "search=price", []int64{1}},
		{"by an address", "search=customer3@", []int64{3}},
		{"by all at once", "status=0&has_unread=true&inbox=1&search=ada", []int64{2}},
		{"descending", "ordering=-id", []int64{6, 5, 4, 3, 2, 1}},
		{"by two fields", "ordering=-status,id", []int64{4, 5, 1, 2, 3, 6}},
		{"with empty and unknown parameters ignored", "status=&color=red&ordering=id", []int64{1, 2, 3, 4, 5, 6}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var p page
			if status := b.do(t, "GET", list+"?"+test.query, "", &p); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			if got := ids(p.Results); !slices.Equal(got, test.want) || p.Count != len(test.want) {
				t.Errorf("got %v of %d, want %v", got, p.Count, test.want)
			}
		})
	}
}

func TestAFilterThatCannotBeReadIsRefused(t *testing.T) {
	b := serve(t, simulator.Options{})
	for _, query := range []string{
		"status=open", "priority=high", "unassigned=maybe", "waiting_for=godot", "created_after=yesterday", "ordering=colour",
	} {
		var invalid map[string][]string
		if status := b.do(t, "GET", list+"?"+query, "", &invalid); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, status)
		}
		values, _ := url.ParseQuery(query)
		for name := range values {
			if len(invalid[name]) != 1 {
				t.Errorf("%s: nothing is said about %s in %v", query, name, invalid)
			}
		}
	}
}

func TestPagesLeadToEveryConversation(t *testing.T) {
	b := serve(t, simulator.Options{History: 7, PageSize: 3})
	var got []int64
	next := b.http.URL + list + "?ordering=id&unassigned=&search="
	pages := 0
	for next != "" {
		u, err := url.Parse(next)
		if err != nil || u.Host == "" {
			t.Fatalf("next %q is no absolute URL: %v", next, err)
		}
		var p page
		b.do(t, "GET", u.RequestURI(), "", &p)
		got = append(got, ids(p.Results)...)
		pages++
		if (p.Previous == nil) != (pages == 1) {
			t.Errorf("page %d has previous %v", pages, p.Previous)
		}
		next = ""
		if p.Next != nil {
			next = *p.Next
		}
	}
	if !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6, 7}) || pages != 3 {
		t.Errorf("%d pages had %v", pages, got)
	}
	for _, number := range []string{"4", "0", "-1", "x", "9223372036854775807"} {
		if status := b.do(t, "GET", list+"?page="+number, "", nil); status != http.StatusNotFound {
			t.Errorf("page %s: status %d", number, status)
		}
	}
}

func TestABareListHasAllUnlessAPageIsAskedFor(t *testing.T) {
	b := serve(t, simulator.Options{History: 7, PageSize: 3, BareList: true})
	for query, want := range map[string][]int64{
		"":                {1, 2, 3, 4, 5, 6, 7},
		"&page=1":         {1, 2, 3},
		"&page=3":         {7},
		"&page=4":         {},
		"&assignee=12345": {},
	} {
		var got []event.Conversation
		if b.do(t, "GET", list+"?ordering=id"+query, "", &got); !slices.Equal(ids(got), want) || got == nil {
			t.Errorf("%s: got %v, want %v", query, ids(got), want)
		}
	}
}

func TestADetailHasItsMessagesOldestFirst(t *testing.T) {
	b := serve(t, simulator.Options{})
	id, other := b.open(t), b.open(t)
	first := b.write(t, id, "One")
	b.write(t, other, "Elsewhere")
	last := b.write(t, id, "Two")
	if err := b.CustomerEdits("7", first, "1"); err != nil {
		t.Fatal(err)
	}
	var d struct {
		event.Conversation
		Messages []event.Message
	}
	if status := b.do(t, "GET", list+"1/", "", &d); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if len(d.Messages) != 2 || d.Messages[0].Content != "1" || d.Messages[1].ID != last {
		t.Fatalf("messages are %+v", d.Messages)
	}
	if m := d.Messages[0]; !m.FromContact() || *m.SenderID != d.Contact.ID || !m.UpdatedAt.After(m.CreatedAt) {
		t.Errorf("the edited message is %+v", m)
	}
	if d.UnreadCount != 2 || d.LastMessage.ID != last || !d.LastActivityAt.Equal(d.Messages[1].CreatedAt) {
		t.Errorf("the conversation is %+v", d.Conversation)
	}
	for _, path := range []string{"3/", "0/", "x/"} {
		if status := b.do(t, "GET", list+path, "", nil); status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

func TestRESTNeedsTheToken(t *testing.T) {
	b := serve(t, simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: token}, {ID: "8", Token: "other"}}})
	b.open(t)
	for header, want := range map[string]int{
		"Token " + token:  http.StatusOK,
		"Bearer " + token: http.StatusOK,
		"Basic " + token:  http.StatusUnauthorized,
		"Token other":     http.StatusUnauthorized,
		token:             http.StatusUnauthorized,
		"":                http.StatusUnauthorized,
	} {
		for _, path := range []string{list, list + "1/"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", b.http.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", header)
			resp, err := b.http.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s with %q: status %d, want %d", path, header, resp.StatusCode, want)
			}
		}
	}
	if status := b.do(t, "GET", "/api/v1/accounts/9/conversations/", "", nil); status != http.StatusUnauthorized {
		t.Errorf("an unknown account: status %d", status)
	}
}

func TestSocketAndRESTSayTheSameInOtherBytes(t *testing.T) {
	b := serve(t, simulator.Options{BareList: true})
	c := b.dial(t)
	if _, err := b.OpenConversation("7", `Mei "陈" 🙏, <a>: \o/`); err != nil {
		t.Fatal(err)
	}
	var told struct{ Data json.RawMessage }
	raw := c.raw(t)
	if err := json.Unmarshal(raw, &told); err != nil {
		t.Fatal(err)
	}
	var shown []json.RawMessage
	b.do(t, "GET", list, "", &shown)
	if string(told.Data) == string(shown[0]) {
		t.Error("they are the same, byte for byte")
	}
	if slices.ContainsFunc(raw, func(c byte) bool { return c >= 0x80 }) {
		t.Errorf("the frame is not ASCII: %s", raw)
	}
	var fromSocket, fromREST any
	if err := json.Unmarshal(told.Data, &fromSocket); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(shown[0], &fromREST); err != nil {
		t.Fatal(err)
	}
	if x, y := string(marshal(t, fromSocket)), string(marshal(t, fromREST)); x != y {
		t.Errorf("socket %s\nREST   %s", x, y)
	}
}
