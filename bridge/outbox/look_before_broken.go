//go:build broken_look

package outbox

// lookBeforeResend is off: an action whose fate is unclear is sent again.
const lookBeforeResend = false
