package filter_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// Ids are at 2^53+1, which no float can hold, and beyond.
var (
	message = event.Event{
		ID: "m", Type: event.MessageNew, Account: "7", Conversation: "9007199254740993", By: "bot", Replayed: true,
		Time: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
		Data: []byte(`{"id":9007199254740993,"content":"a refund","message_type":0,"conversation_id":9007199254740995,
			"sender_type":"Contact","sender_id":9223372036854775807,"created_at":"2026-01-02T03:04:05Z",
			"extra":{"id":9007199254740993,"list":[9007199254740993],"rate":1.5,"far":18446744073709551617,"vip":true}}`),
	}
	conversation = event.Event{
		ID: "c", Type: event.ConversationUpdated, Account: "7",
		Data: []byte(`{"id":9007199254740993,"status":1,"priority":3,"assignee_id":9007199254740995,"inbox_id":4,
			"contact":{"id":9007199254740997,"email":"ada@example.com"},"cached_label_list":["vip","eu"],"unread_count":2,
			"last_message":{"id":5,"content":"hi","message_type":1},"created_at":"2026-01-02T03:04:05Z"}`),
	}
	result  = event.Event{ID: "r", Type: event.ActionFailed, Account: "7", Data: []byte(`{"id":"a-1","reason":"no","attempts":3,"event":"e"}`)}
	unknown = event.Event{ID: "u", Type: "conversation.merged", Account: "7", Data: []byte(`{"into":9007199254740993}`)}
)

func TestWhatAnExpressionKnows(t *testing.T) {
	tests := []struct {
		event event.Event
		yes   []string
		no    []string
	}{
		{message, []string{
			`type == "message.new" && account == "7" && conversation == "9007199254740993" && replayed && by == "bot"`,
			`time > date("2026-04-30") && time < date("2026-05-02")`,
			`message.sender_type == "Contact" && message.message_type == "incoming"`,
			`message.content contains "refund"`, `message.content matches "(?i)REFUND"`,
			`message.id == 9007199254740993`, `message.id in [9007199254740993]`, `message.id > 9007199254740992`,
			`message.sender_id == 9223372036854775807`, `data.id == message.id && data.content == message.content`,
			`data.status == "" && contact.id == 0 && contact.email == "" && len(data.labels) == 0`,
			`raw.id == 9007199254740993`, `raw.extra.id in [9007199254740993]`, `raw.extra.list[0] == message.id`,
			`raw.extra.rate == 1.5`, `raw.extra.vip == true`, `raw?.nothing?.at?.all == nil`, `raw.extra.far == "18446744073709551617"`,
			`any(raw.extra.list, # == 9007199254740993)`,
		}, []string{
			`message.id == 9007199254740992`, `message.id in [9007199254740992, 9007199254740994]`, `message.id > 9007199254740993`,
			`raw.id == 9007199254740992`, `raw.id == 9007199254740994`, `raw.extra.id in [9007199254740992]`, `not replayed`,
			`message.sender_id == 9223372036854775806`, `raw.extra.far == "18446744073709551616"`,
		}},
		{conversation, []string{
			`data.status == "resolved" && data.priority in ["high", "urgent"] && data.unread_count > 1`,
			`data.assignee_id == 9007199254740995 && data.team_id == 0 && data.inbox_id == 4`,
			`contact.id == 9007199254740997 && contact.email endsWith "@example.com" && data.contact.id == contact.id`,
			`"vip" in data.labels && any(data.labels, # startsWith "e")`, `data.last_message.content == "hi"`,
			`data.last_message.message_type == "outgoing"`, `data.snoozed_until.Year() == 1`, `message.content == ""`, `conversation == ""`,
		}, []string{`data.status == "open"`, `contact.id == 9007199254740996`, `"nobody" in data.labels`}},
		{result, []string{`data.action == "a-1" && data.reason == "no" && data.attempts == 3 && data.event == "e"`}, []string{`data.attempts < 3`}},
		{unknown, []string{`raw.into == 9007199254740993 && data.id == 0`}, []string{`raw.into == 9007199254740992`}},
	}
	for _, tt := range tests {
		cache := filter.NewCache()
		for want, sources := range map[bool][]string{true: tt.yes, false: tt.no} {
			for _, source := range sources {
				f, err := filter.Compile(source)
				if err != nil {
					t.Errorf("%s: %v", source, err)
					continue
				}
				if got, err := f.Match(tt.event, cache); err != nil || got != want {
					t.Errorf("%s of %s: %t, error %v; want %t", source, tt.event.ID, got, err, want)
				}
			}
		}
	}
}

func TestAWrongExpressionIsRefusedInOneLine(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"a misspelt field", `message.contnet == "x"`, "type filter.Message has no field contnet (1:9)"},
		{"a misspelt field in brackets", `message["contnet"] == "x"`, "no field contnet"},
		{"a misspelt name", `typ == "x"`, "unknown name typ (1:1)"},
		{"a wrong type", `message.id == "secret"`, "mismatched types int64 and string) (1:12)"},
		{"a number for a name", `data.status == 1`, "mismatched types string and int"},
		{"what is no boolean", `message.id`, "expected bool, but got int64"},
		{"what may be no boolean", `raw.vip`, "expected bool, but got unknown"},
		{"what is not complete", `type ==`, "unexpected token EOF (1:7)"},
		{"nothing", ` `, "unexpected token EOF"},
		{"over lines", "type == \"x\" &&\n  message.contnet == \"secret\"", "has no field contnet (2:11)"},
		{"a range", `message.id in 1..1000000`, "compare with its ends"},
		{"a list in a list", `any(data.labels, any(data.labels, # == "x"))`, "inside another"},
		{"a list in a list by a name", `let l = data.labels; all(l, # != "" && one(l, true))`, "inside another"},
		{"what is too long", `type == "` + strings.Repeat("x", 4096) + `"`, "up to 4096"},
		{"what is too large", strings.Repeat(`!`, 1100) + `replayed`, "exceeds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := filter.Compile(tt.source)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n|") || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

func TestWhatFailsOnOneEventIsAnErrorOfIt(t *testing.T) {
	broken := event.Event{ID: "b", Type: event.MessageNew, Data: []byte(`{"id":"secret"}`)}
	tests := []struct {
		name, source string
		event        event.Event
		want         string
	}{
		{"a step below nothing", `raw.a.b == "x"`, message, "cannot fetch b from <nil> (1:7)"},
		{"data of another shape", `message.id == 1`, broken, "decode event b"},
		{"data that is no JSON", `raw.id == 1`, event.Event{ID: "n", Type: "x", Data: []byte(`{`)}, "read its data"},
		{"more than there is room for", `len(repeat(message.content, 1000000)) > 1`, message, "memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := filter.Compile(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			ok, err := f.Match(tt.event, filter.NewCache())
			if ok || err == nil || !strings.HasPrefix(err.Error(), "filter: ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%t, error %v; want %q", ok, err, tt.want)
			}
			// The filter is of use for the next all the same.
			if _, err := f.Match(conversation, filter.NewCache()); tt.event.ID == "b" && err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEachEventIsDecodedOnceForAllFilters(t *testing.T) {
	const feeds, events = 10, 300
	cache := filter.NewCache()
	var running sync.WaitGroup
	for range feeds {
		running.Go(func() {
			f, err := filter.Compile(`message.id > 0 && message.sender_type == "Contact"`)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range events {
				e := message
				e.ID = fmt.Sprint(i)
				if ok, err := f.Match(e, cache); err != nil || !ok {
					t.Errorf("%t, error %v", ok, err)
				}
			}
		})
	}
	running.Wait()
	if got := cache.Decodes(); got != events {
		t.Errorf("%d events were decoded %d times", events, got)
	}
}

func TestNothingIsDecodedThatNoFilterLooksAt(t *testing.T) {
	cache := filter.NewCache()
	f, err := filter.Compile(`type == "message.new" && account == "7" && conversation != "" && not (by == "x")`)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := f.Match(message, cache); err != nil || !ok || cache.Decodes() != 0 {
		t.Errorf("%t, error %v, decoded %d times", ok, err, cache.Decodes())
	}
}

// What has the same id is the same; but a filter does not let another's data
// pass for it.
func TestTheSameIDWithOtherDataIsAnother(t *testing.T) {
	cache := filter.NewCache()
	f, err := filter.Compile(`message.content contains "refund"`)
	if err != nil {
		t.Fatal(err)
	}
	other := message
	other.Data = []byte(`{"id":1,"content":"hello"}`)
	for i, want := range []bool{true, false, true} {
		e := []event.Event{message, other, message}[i]
		if ok, err := f.Match(e, cache); err != nil || ok != want {
			t.Errorf("%t, error %v", ok, err)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	cache := filter.NewCache()
	f, err := filter.Compile(`message.id > 0`)
	if err != nil {
		t.Fatal(err)
	}
	match := func(from, to int, pad string) {
		for i := from; i < to; i++ {
			e := message
			e.ID, e.Data = fmt.Sprint(i), []byte(`{"id":1,"content":"`+pad+`"}`)
			if ok, err := f.Match(e, cache); err != nil || !ok {
				t.Fatalf("%t, error %v", ok, err)
			}
		}
	}
	match(0, 1500, "")
	match(476, 1500, "") // the last 1024 are known
	if got := cache.Decodes(); got != 1500 {
		t.Errorf("decoded %d times, want 1500", got)
	}
	match(0, 1, "") // the first is not
	if got := cache.Decodes(); got != 1501 {
		t.Errorf("decoded %d times, want 1501", got)
	}
	large := strings.Repeat("x", 1<<20)
	match(2000, 2005, large)
	match(2000, 2005, large) // but three of them have room
	if got := cache.Decodes(); got != 1511 {
		t.Errorf("decoded %d times, want 1511", got)
	}
}

func BenchmarkMatch(b *testing.B) {
	cache := filter.NewCache()
	f, err := filter.Compile(`type == "message.new" && message.sender_type == "Contact" && message.content contains "refund"`)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, err := f.Match(message, cache); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
