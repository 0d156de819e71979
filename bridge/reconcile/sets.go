//go:build !broken_sets

package reconcile

// compareSets: every message that the backend has is looked up. The variant
// without it looks at the last one alone, and a hole before that stays; the
// fault table must notice.
const compareSets = true
