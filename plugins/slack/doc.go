// Package slack is the built-in plugin that posts conversations to Slack: one
// thread per conversation, in the channel of each rule that selects it.
//
//	event ─▶ feed of the rule ─▶ thread of the conversation ─▶ text ─▶ gate of the channel ─▶ Slack
//	              ▲                   ▲ │ (host's store)                                        │
//	              │                   │ └─ posted already: done                                 │
//	              │                   └──────────── channel, ts, event id ◀── posted ───────────┤
//	              └── again, later · hold the feed · dead letter ◀── error ─────────────────────┘
//
// # What readers may rely on
//
// A conversation's first event starts its thread, and later ones are replies in
// it, in order, over restarts: which thread is whose is kept in the host's
// store, by rule, account and conversation. A thread whose first message
// somebody deleted is followed by a new one. Typing is not posted. What a
// customer wrote is escaped and quoted, so it can neither mention a channel nor
// pass for a line of this plugin's, and what is cut off says so.
//
// # Once, and the window that is left
//
// The ids of the last 32 events posted are kept with the thread, so an event
// that is delivered again is not posted again. Slack itself takes no key by
// which it would know a post again, hence a double post remains possible where
// Slack has a post and the store does not: when the process ends between the
// two, when Slack's answer is lost (a cut connection, a timeout), or when an
// event comes again after 32 others of its conversation.
//
// # When Slack does not take a post
//
// Slack allows about one post a second and channel
// (https://docs.slack.dev/apis/web-api/rate-limits). Posts to a channel go one
// at a time; when Slack answers 429, the rule's feed is held for the time that
// Slack names, what is under way waits for as long, and no attempt is counted:
// however long the burst, nothing is dropped. Errors of the network and of Slack's servers are tried again on the
// host's schedule. What an operator must mend (a revoked token, a missing
// scope, an archived channel) holds the feed, with a reason that says what to
// do, and is tried again every five minutes.
//
// # Simple mode
//
// With webhook_url in place of token, posts go to an incoming webhook
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
// It has one channel and, since it does not tell a post's ts, no threads: each
// post names its conversation.
package slack
