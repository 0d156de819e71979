// Package webhook is the built-in plugin that posts events to HTTP endpoints,
// as Standard Webhooks 1.0 has it (https://www.standardwebhooks.com).
//
//	event ─▶ feed of the endpoint ─▶ envelope ─▶ signature ─▶ guard ─▶ POST ─▶ endpoint
//	              ▲                                                       │
//	              └──────── done · again, later · dead letter ◀── answer ─┘
//
// # What a receiver may rely on
//
// Each endpoint has a feed of its own: it gets its events in order per
// conversation, at least once, and neither waits for another endpoint nor
// holds one up. A request is
//
//	POST /its/path
//	Content-Type: application/json
//	webhook-id: <the event's id: the same for every attempt, so dedupe by it>
//	webhook-timestamp: <when this attempt was signed, Unix seconds>
//	webhook-signature: v1,<HMAC-SHA256 of "id.timestamp.body", base64>
//	switchboard-account: <the account>
//	switchboard-replayed: true        (only where the event had been missed and was fetched later)
//
//	{"type":"message.new","timestamp":"2026-01-02T03:04:05.678Z","data":{…}}
//
// where data is what the backend said, byte for byte. The signature covers the
// first two headers and the body, as the standard says, and no other header.
//
// # What becomes of an answer
//
// 2xx is done. 408, 425, 429, 5xx and a failure of the network (DNS, TCP, TLS,
// no answer in time) are tried again on the standard's schedule, or when
// Retry-After says. Any other answer is final, and the event becomes a dead
// letter: redirects are not followed, and 410 says that the endpoint is gone.
// So is an address that the guard refuses: see [Config.AllowNetworks].
//
// An endpoint that stops answering in the middle of one of its conversations
// blocks that conversation, up to the end of the schedule (some 76 hours), and
// no other.
//
// Requests go to the endpoint itself: a proxy in the environment is not used,
// since the guard could not see behind it.
package webhook
