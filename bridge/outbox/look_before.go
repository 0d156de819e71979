//go:build !broken_look

package outbox

// lookBeforeResend: what became of an action is looked for before it is sent
// again. The tag broken_look builds the outbox without, for the tests to see
// what comes of that.
const lookBeforeResend = true
