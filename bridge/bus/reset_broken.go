//go:build broken_reset

package bus

const resetConsumers = false
