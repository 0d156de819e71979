// Package simulator is a conversation backend that speaks the account protocol
// over real HTTP and WebSocket, with simulated customers who chat, and with
// faults on demand. It backs the commands simulate, demo and bench, and tests.
//
//	customers ─┐                                     ┌─▶ queue ─▶ socket
//	actions ───┼─▶ account: one change at a time ────┼─▶ queue ─▶ socket
//	methods ───┘      │                              └─▶ queue ─▶ socket
//	                  └─▶ world ─▶ REST
//
// A [Server] is an [http.Handler]. Nothing runs until it serves requests or
// [Server.Run] drives the customers, and [Server.Close] leaves nothing behind.
//
// # Delivery
//
// Every change of an account goes to all sockets that are open at that moment,
// in one order. Each socket has a queue; when it is full the change waits for
// the reader, and so do all later changes of the account. A socket that does
// not catch up within [Options].Patience is closed. So a socket misses nothing
// while it is open, unless a fault asks for it. What is broadcast while no
// socket is open can be had by REST alone.
//
// A message changes its conversation's last_message, last_activity_at and (a
// customer's) unread_count, and is told as message.new alone.
// conversation.updated comes of a changed status or labels, or of mark_as_read;
// it moves no last_activity_at. A conversation that [Server.Delete] takes away
// is told to nobody.
//
// REST and sockets write the same JSON in different bytes, as Django does: the
// sockets have a space after commas and colons, and escape what is not ASCII.
// Some fields are in no protocol page ("channel", "content_attributes", …), as
// with every real backend.
//
// # Faults
//
// A fault acts on one account. Some are over at once, others stay in force
// until they are cleared or their duration ends; setting one that is in force
// replaces it.
//
//	drop       closes the sockets without a close handshake
//	half-open  stops reading and writing the open sockets, but keeps their TCP
//	           connections; they are closed when the fault ends
//	restart    closes the sockets, then answers handshakes and REST with 503;
//	           for 2s unless "duration" says otherwise
//	refuse     answers handshakes with 403; with "code" (such as 4401) accepts
//	           them and closes with that code
//	malformed  sends one frame of a "kind": not-json (default), no-type, array,
//	           invalid-utf8, too-big (over 4 MiB)
//	burst      writes "count" (default 1000) messages at once, of which the
//	           first 100 reach each socket: the capacity of a Channels layer
//	deaf       sends no more events to the sockets that are open; pings and
//	           actions are still answered
//	slow       waits "delay" (default 100ms) before each frame
//	duplicate  sends each event twice
//	no-pong    answers neither pings of the protocol nor of WebSocket
//	reorder    lets up to "count" (default 5) frames overtake one, those of its
//	           own conversation too; an update overtakes nothing, so that the
//	           last that is heard of a message or a conversation is the last
//	lossy      keeps "percent" (default 20) of the events from each socket
//	rest-down  answers REST with 503
//	busy       answers REST with 429 and "Retry-After: 1"
//	skew       moves the backend's clock by "offset" (default 1h; "-1h" moves it
//	           back): all times in data, and the Date header of REST
//
// half-open and deaf are about the sockets that are open when they are set:
// later ones are healthy. slow, duplicate, no-pong, reorder and lossy are about
// all; rest-down and busy leave the sockets alone.
//
// # Control
//
// With [Options].Control the faults and counts are served as JSON. These
// requests are not authenticated: keep them from whom you would not give a
// shell. Errors are one line, {"error":"…"}, with status 400, or 404 for an
// unknown account.
//
//	POST   /control/faults  {"account":"7","fault":"slow","delay":"50ms","duration":"2s"}
//	GET    /control/faults  those in force, and all that there are
//	DELETE /control/faults?account=7&fault=slow  without fault: all of the
//	                        account; without account: of every account
//	GET    /control/stats?account=7  a Stats; without account: all, by account
//
// Durations are strings with a unit ("2s"). Parameters that a fault does not
// take are errors, and so is every unknown field.
package simulator
