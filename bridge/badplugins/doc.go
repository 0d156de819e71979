// Package badplugins measures, from outside, that one part's fault stays its
// own: beside a plugin that crashes, hangs, floods or lies, two good plugins
// lose nothing and are not late, and nothing of the bad one is left.
//
//	load ─▶ simulator ◀──socket, REST──▶ the real binary ──▶ NATS ─▶ reader ──▶ judge
//	            │                        │      │      │                          ▲
//	            │                  recorder  replier  the bad one ── what each ───┤
//	            └──────────────────────── what was done ──────────────────────────┘
//
// It imports no part of the bridge and believes none of its numbers about the
// good plugins. What there was to deliver, and when it was published, is read
// off the stream; what was delivered, and when, the plugins write down
// themselves, each into a file; what became of actions the backend counts. Only
// how a bad plugin stands is asked of the bridge, as `switchboard status --json`
// shows it: that is what the operator gets to see.
//
// A row of the table is one bad plugin: a backend, a bridge with its own NATS,
// two good plugins and the bad one, under a steady load, until the bad one has
// ended as the table says. Then the load stops, the row waits until the good
// plugins have what is on the stream, and sends the bridge a SIGTERM.
//
// The plugins, good and bad, are the same program, executed again: see [Play].
package badplugins
