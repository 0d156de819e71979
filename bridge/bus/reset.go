//go:build !broken_reset

package bus

// resetConsumers: what a consumer had under way before a restart is delivered
// again at once, in order. The variant without it lets later messages overtake;
// the fault table must notice.
const resetConsumers = true
