// Package bridge joins the parts that carry an account's events from its
// backend to NATS, and actions from NATS to the backend.
//
//	backend ──socket──▶ connectors/account ─▶ bridge/link ─▶ bridge (inbound) ─▶ bridge/bus ══ NATS JetStream
//	   ▲                                                                                          ║
//	   │                                                                              plugins/host ◀╝
//	   │                                                                                  │  gRPC (go-plugin)
//	   │                                                                              plugins/sdk in the plugin's process
//	   │                                                                                  │  action
//	   └──socket── connectors/account ◀─ bridge/link ◀─ bridge/outbox ◀─ NATS ◀─ bridge/outbox (door)
//
// The data goes one way round. Every event that a plugin sees has been through
// NATS; every action, through the door and the durable queue.
//
// # What is promised
//
//  1. What the socket brings is published: an event that was read is in the
//     stream, or the socket is not read any further. A frame that cannot be
//     read is in quarantine, as it came.
//  2. No accepted action is lost, and none is sent twice: it survives kill -9
//     and, with the embedded server, power loss. What was being sent when the
//     bridge ended is told as failed and "unclear".
//  3. Order holds per conversation among events, and among actions, through
//     retries, reconnects and restarts. Delivery is at least once; an event's
//     id tells what is the same.
//  4. One part's fault stays its own: a plugin that crashes, hangs or floods
//     harms no other, no account and not the bridge.
//  5. Nobody gets in or out but as the operator granted, and no secret is in a
//     log, an error or a URL that is shown.
//
// # What is left out
//
// What the backend said while no socket was open, or what a healthy-looking
// socket did not tell, is not fetched yet. Typing is not stored. The events'
// stream is written fast: the last milliseconds before a kill -9 of an embedded
// server can be missing from it. Of an action whose fate is unclear the backend
// is not asked yet.
package bridge
