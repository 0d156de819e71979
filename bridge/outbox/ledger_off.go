//go:build broken_ledger

package outbox

const useLedger = false
