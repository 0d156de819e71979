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
//  1. No message and no final state is lost that the backend can still tell:
//     what was missed while the socket, the bridge or NATS was down, or what a
//     healthy-looking socket did not tell, is fetched by REST (package
//     reconcile) and published as an ordinary event, marked as replayed. A
//     frame that cannot be read is in quarantine, as it came.
//  2. No accepted action is lost, and none is done twice: it survives kill -9
//     and, with the embedded server, power loss. After an unclear send the
//     backend is asked what became of it, with the old socket closed, before it
//     is sent again or told as failed (package outbox).
//  3. Order holds per conversation among live events, among replayed ones, and
//     among actions, through retries, reconnects and restarts. Delivery is at
//     least once; an event's id tells what is the same.
//  4. One part's fault stays its own: a plugin that crashes, hangs or floods
//     harms no other, no account and not the bridge.
//     What an operator replays to a plugin is delivered in order per
//     conversation among itself, each repeat under the same key; its order
//     against new events is not promised.
//  5. Nobody gets in or out but as the operator granted, and no secret is in a
//     log, an error or a URL that is shown.
//
// The package faults measures the first three from outside, under each fault, and
// badplugins the fourth: go test ./bridge/... -run 'Fault|Plugin'.
//
// # What is left out
//
// Typing is not stored. Of states that followed each other, those between the
// first and the last can be missing where the socket alone carried them: in a
// burst with loss, or in the last milliseconds before a kill -9 of an embedded
// server. What the backend deleted from its REST API is not an event. Where a
// backend does not echo client_ref, a message of the same text by the same user,
// newer than what was known before the send, counts as ours.
//
// After an unclean end an event may be told a second time under an id of its
// own, where it has no id of the backend's: conversation.updated.
package bridge
