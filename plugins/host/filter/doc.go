// Package filter is the expression by which a feed chooses its events, in the
// language of expr-lang.org.
//
//	type == "message.new" && message.sender_type == "Contact"
//	message.content contains "refund" || message.content matches "(?i)money back"
//	type == "conversation.updated" && data.status == "resolved" && not replayed
//	data.priority in ["high", "urgent"] && "vip" in data.labels
//	contact.email endsWith "@example.com"
//	conversation == "9007199254740993" || data.inbox_id == 9007199254740995
//	type == "action.failed" && data.attempts > 1
//	raw?.additional_attributes?.browser == "Firefox"
//
// # What an expression knows
//
//	type          string  "message.new", …
//	account       string  the account's name in the configuration
//	conversation  string  the conversation's id; "": it belongs to none
//	replayed      bool    it was missed, and fetched later
//	by            string  whose action caused it; "": nobody's here
//	time          time    when it happened: time > date("2026-01-01")
//	message       of message.*: id, content, message_type, conversation_id,
//	              sender_type, sender_id, created_at, updated_at, status
//	contact       of conversation.*: id, name, email, phone_number, avatar_url
//	data          of conversation.*: id, status, priority, assignee_id, inbox_id,
//	              team_id, contact, last_message, unread_count, created_at,
//	              last_activity_at, snoozed_until, labels;
//	              of message.*: what message has;
//	              of action.*: action, reason, attempts, event
//	raw           anything: the event's data as plain JSON
//
// Fields are named as in the event's data; but what is a number there and has
// a name in our schemas is its name: data.status is "open", "resolved",
// "pending" or "snoozed", data.priority "low", "medium", "high" or "urgent",
// message_type "incoming", "outgoing", "activity" or "template". labels is the
// data's cached_label_list, and action the id of the action that a result is
// of. What an event does not have is zero: "", 0, false, an empty list, a time
// in the year 1.
//
// All but raw is typed: a misspelt field, a text compared with a number and an
// expression that is neither true nor false are errors before the plugin runs.
// Ids are whole numbers and exact, in raw too, where one beyond 64 bits is a
// text. In raw nothing is known before: a step below what is not there is an
// error of that event, and is written ?. where that is not meant; and raw.flag
// alone may be anything, so that it is written raw.flag == true.
//
// # Bounds
//
// An expression runs for each event of its feed, inside the host. So it has no
// loops that could go on: a list is looked through by any, all, one, none,
// count, filter and the like, but not inside another, and there is no range
// (1..1000). It has up to 4,096 bytes.
package filter
