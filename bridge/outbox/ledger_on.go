//go:build !broken_ledger

package outbox

// useLedger: what was accepted before is known, and what the ledger says of an
// action is read before it is sent.
const useLedger = true
