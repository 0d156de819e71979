//go:build broken_sets

package reconcile

const compareSets = false
