package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

const stamp = "2026-01-02T03:04:05.678901Z"

const contactSample = `{"id":11,"name":"Ada Lovelace","email":"ada@example.com","phone_number":null,"avatar_url":null,"contact_type":"customer"}`

const conversationSample = `{"id":1,"status":0,"priority":1,"assignee_id":null,"inbox_id":1,"team_id":null,"contact":` + contactSample + `,` +
	`"last_message":{"id":21,"content":"Hello, where is my order 48213?","message_type":0,"created_at":"` + stamp + `","sender_type":"Contact","sender_id":11},` +
	`"unread_count":1,"created_at":"` + stamp + `","last_activity_at":"` + stamp + `","snoozed_until":null,"cached_label_list":["vip"],"channel":"web"}`

const messageSample = `{"id":21,"content":"Hello, where is my order 48213?","message_type":0,"conversation_id":1,"sender_type":"Contact","sender_id":11,` +
	`"created_at":"` + stamp + `","updated_at":"` + stamp + `","status":"sent","private":false,"content_attributes":{}}`

const typingSample = `{"conversation_id":1,"user_id":11,"user_name":"Ada Lovelace","is_typing":true}`

const resultSample = `{"id":"a-1","type":"send_message","account":"7","conversation":"1","by":"another","attempts":1,"reason":"no answer"}`

// Samples are an event of each type, of account 7, as the account protocol has
// them.
func Samples() []event.Event {
	at, _ := time.Parse(time.RFC3339, stamp)
	data := func(t event.Type) string {
		switch kind, _, _ := strings.Cut(string(t), "."); kind {
		case "conversation":
			return conversationSample
		case "message":
			return messageSample
		case "typing":
			return typingSample
		}
		return resultSample
	}
	list := make([]event.Event, len(event.Types))
	for i, t := range event.Types {
		list[i] = event.Event{
			ID: "sample-" + string(t), Type: t, Source: "https://backend.example/accounts/7", Account: "7", Conversation: "1",
			Time: at, Data: []byte(data(t)),
		}
	}
	return list
}

// Conversations is how many conversations there should be where actions are
// really done: the ids are 1 to it.
const Conversations = 4500

// of is the event as another one, of another conversation. The ids in its data
// follow, where it has any.
func of(e event.Event, id string, conversation int64) event.Event {
	e.ID = id
	if e.Conversation == "" {
		return e
	}
	e.Conversation = strconv.FormatInt(conversation, 10)
	var fields map[string]json.RawMessage
	if json.Unmarshal(e.Data, &fields) != nil {
		return e
	}
	fields = maps.Clone(fields)
	number := json.RawMessage(e.Conversation)
	switch kind, _, _ := strings.Cut(string(e.Type), "."); kind {
	case "conversation":
		fields["id"] = number
	case "message":
		fields["id"] = json.RawMessage(strconv.FormatInt(1_000_000+conversation, 10))
		fields["conversation_id"] = number
	case "typing":
		fields["conversation_id"] = number
	case "action":
		fields["conversation"] = json.RawMessage(strconv.Quote(e.Conversation))
	}
	data, err := json.Marshal(fields)
	if err != nil {
		panic(fmt.Sprintf("conformance: write data of %s: %v", id, err))
	}
	e.Data = data
	return e
}
