// Package faults measures what the bridge promises, from outside: that no
// message, no final state and no accepted action is lost, that no action is
// done twice, and that order holds, whatever breaks.
//
//	load ─▶ simulator ◀──socket, REST──▶ the real binary ──▶ NATS ─▶ reader
//	            │                        (a child process)     ▲        │
//	            │                                    sender ───┘        │
//	            └───────────▶ compare ◀── what was accepted ◀───────────┘
//
// It imports no part of the bridge and believes none of its numbers. What there
// was to carry is counted by the backend, what was carried is read off the
// stream, and what was accepted is what the sender was answered.
//
// A row of the table is one fault: a backend, a bridge and a NATS of its own
// under a steady load; the fault strikes, and is mended; the load stops; then
// the row waits until the stream tells what the backend knows and nothing moves
// any more, or until its patience ends. What differs then is bad.
//
// The load is the customers of the simulator, who open conversations, type,
// write and edit, and beside them a load on conversations that last, so that
// their order means something: messages, edits, and changes of status by an
// agent elsewhere. Actions change the status of other conversations than that
// agent does: what two people set at once has no owner. A careful client sends
// the actions: the same one under the same key until it is accepted, and no
// later one of its conversation before. Now and then it asks once more for one
// that was accepted. An action that is not found and fails is bad here, too:
// the bridge is told to send such ones again (unclear: resend). A mark_as_read
// that is done twice is done once, and one of several may do for all.
package faults
