package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// scene is a small truth in which nothing is wrong, to be spoilt.
type scene struct {
	before, after simulator.Snapshot
	stream        []*nats.Msg
	actions       []action
	ends          []string
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func written(id, conversation int64, text string) event.Message {
	return event.Message{
		ID: id, ConversationID: conversation, Content: text, SenderType: event.SenderContact,
		CreatedAt: noon, UpdatedAt: noon,
	}
}

func onStream(id string, kind event.Type, data any) *nats.Msg {
	m := nats.NewMsg("")
	m.Header.Set("ce-id", id)
	m.Header.Set("ce-type", string(kind))
	m.Data, _ = json.Marshal(data)
	return m
}

func result(id, key string, kind event.Type) *nats.Msg {
	m := onStream(id, kind, map[string]string{"reason": "it was asked for"})
	m.Header.Set("switchboard-action", key)
	return m
}

func replayed(m *nats.Msg) *nats.Msg {
	m.Header.Set("switchboard-replayed", "true")
	return m
}

func did(key string, conversation int64) simulator.Done {
	return simulator.Done{Ref: "nats/" + key, Type: event.SendMessage, Conversation: conversation}
}

func good() *scene {
	old := written(1, 1, "before")
	edited := written(3, 2, "second thoughts")
	edited.UpdatedAt = noon.Add(time.Second)
	fresh := event.Conversation{ID: 2, Labels: []string{"sales"}}
	last := fresh
	last.Status, last.UnreadCount = event.StatusResolved, 3
	return &scene{
		before: simulator.Snapshot{Conversations: []event.Conversation{{ID: 1}}, Messages: []event.Message{old}},
		after: simulator.Snapshot{
			Conversations: []event.Conversation{{ID: 1}, last},
			Messages:      []event.Message{old, written(2, 2, "one"), edited, written(4, 2, "four")},
			Done:          []simulator.Done{did("a", 2), did("b", 2)},
		},
		stream: []*nats.Msg{
			onStream("c2", event.ConversationNew, fresh),
			onStream("m2", event.MessageNew, written(2, 2, "one")),
			onStream("m3", event.MessageNew, written(3, 2, "two")),
			onStream("m3/2", event.MessageUpdated, edited),
			onStream("c2/2", event.ConversationUpdated, event.Conversation{
				ID: 2, Status: event.StatusResolved, UnreadCount: 2, Labels: []string{"sales"}, LastMessage: &event.LastMessage{ID: 3},
			}),
			replayed(onStream("m4", event.MessageNew, written(4, 2, "four"))),
			result("r1", "a", event.ActionConfirmed), result("r2", "b", event.ActionConfirmed), result("r3", "c", event.ActionConfirmed),
		},
		actions: []action{
			{key: "a", conversation: 2, kind: event.MarkAsRead, accepted: true},
			{key: "b", conversation: 2, kind: event.SendMessage, place: 2, accepted: true},
			{key: "c", conversation: 2, kind: event.MarkAsRead, place: 1, accepted: true}, // made good by a
		},
	}
}

func (s *scene) judged() Row {
	t := truth{before: s.before, after: s.after, told: newTold(), actions: s.actions}
	for _, m := range s.stream {
		t.told.add(m.Header, m.Data)
	}
	var r Row
	r.judge(t)
	r.crashed(s.ends)
	return r
}

func (s *scene) drop(id string) {
	s.stream = slices.DeleteFunc(s.stream, func(m *nats.Msg) bool { return m.Header.Get("ce-id") == id })
}

func TestEachBadColumnCanBeRed(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*scene)
		want  []string
	}{
		{"nothing is wrong", func(*scene) {}, nil},
		{"a message is not on the stream", func(s *scene) { s.drop("m2") }, []string{"missing"}},
		{"a customer's message after the last state is missing", func(s *scene) { s.drop("m4") }, []string{"missing", "states"}},
		{"an event is there twice", func(s *scene) { s.stream = append(s.stream, s.stream[4]) }, []string{"id twice"}},
		{"a message is there under two ids", func(s *scene) {
			s.stream = append(s.stream, onStream("other", event.MessageNew, written(4, 2, "four")))
		}, []string{"msg twice"}},
		{"an old message is told as new", func(s *scene) {
			s.stream = append(s.stream, onStream("m1", event.MessageNew, written(1, 1, "before")))
		}, []string{"foreign", "states"}},
		{"a message that nobody wrote", func(s *scene) {
			s.stream = append(s.stream, onStream("m9", event.MessageNew, written(9, 3, "?")))
		}, []string{"foreign"}},
		{"an event cannot be read", func(s *scene) { s.stream = append(s.stream, onStream("x", event.MessageNew, "no message")) }, []string{"foreign"}},
		{"an edit is not told", func(s *scene) { s.drop("m3/2") }, []string{"versions"}},
		{"an edit of an old message is not told", func(s *scene) {
			s.after.Messages = slices.Clone(s.after.Messages)
			s.after.Messages[0].Content, s.after.Messages[0].UpdatedAt = "changed", noon.Add(time.Minute)
		}, []string{"versions"}},
		{"an edit is overtaken by what it replaced", func(s *scene) { s.stream[2], s.stream[3] = s.stream[3], s.stream[2] }, []string{"versions"}},
		{"a status is not told", func(s *scene) { s.drop("c2/2") }, []string{"states"}},
		{"an old conversation has changed", func(s *scene) { s.after.Conversations[0].Labels = []string{"vip"} }, []string{"states"}},
		{"a conversation is not told of", func(s *scene) { s.drop("c2"); s.drop("c2/2") }, []string{"states"}},
		{"live messages change places", func(s *scene) {
			s.stream[1], s.stream[2] = s.stream[2], s.stream[1]
		}, []string{"live order"}},
		{"replayed messages change places", func(s *scene) {
			replayed(s.stream[2])
			s.stream = append([]*nats.Msg{replayed(onStream("m4", event.MessageNew, written(4, 2, "four")))}, s.stream[:5]...)
			s.stream = append(s.stream, good().stream[6:]...)
		}, []string{"replay order"}},
		{"an action was never accepted", func(s *scene) { s.actions[1].accepted = false }, []string{"refused"}},
		{"an action is done twice", func(s *scene) { s.after.Done = append(s.after.Done, did("b", 2)) }, []string{"done twice"}},
		{"a read is done twice, which is done once", func(s *scene) { s.after.Done = append(s.after.Done, did("a", 2)) }, nil},
		{"actions change places", func(s *scene) { slices.Reverse(s.after.Done) }, []string{"done order"}},
		{"an action is confirmed and not done", func(s *scene) { s.after.Done = s.after.Done[:1] }, []string{"lost"}},
		{"a read that no other has made good", func(s *scene) { s.after.Done = s.after.Done[1:] }, []string{"lost", "lost"}},
		{"an action fails", func(s *scene) {
			s.drop("r2")
			s.stream = append(s.stream, result("r2", "b", event.ActionFailed))
		}, []string{"failed"}},
		{"an action has no result", func(s *scene) { s.drop("r2") }, []string{"untold"}},
		{"an action has two results", func(s *scene) {
			s.stream = append(s.stream, result("r9", "b", event.ActionConfirmed))
		}, []string{"told twice"}},
		{"the bridge ends by itself", func(s *scene) { s.ends = []string{"exit status 1"} }, []string{"crashes"}},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good()
			tt.spoil(s)
			r := s.judged()
			var got []string
			for _, c := range r.Bad() {
				for range c.Of(r) {
					got = append(got, c.Name)
					seen[c.Name] = true
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("bad are %v, want %v\n%s", got, tt.want, r.Explain())
			}
		})
	}
	for _, c := range Columns {
		if c.Bad && !seen[c.Name] {
			t.Errorf("nothing turns the column %q red", c.Name)
		}
	}
}
