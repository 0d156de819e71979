package link

import (
	"crypto/sha256"
	"slices"

	"github.com/switchboard-dev/switchboard/connectors"
)

// digest stands for a frame's bytes: equal digests, equal frames.
type digest [sha256.Size]byte

// compared reports whether two connections carry the frame both. What answers
// something that was sent over one of them is that one's.
func compared(f connectors.Frame) bool {
	return f.Kind == connectors.Event || f.Kind == connectors.Unreadable && f.Raw != nil
}

// record is what a connection has carried since it is on.
type record struct {
	on      bool
	carried []digest
	awaited digest
	met     chan struct{} // closed when that came; nil: nothing is awaited
}

func (r *record) add(d digest) {
	if !r.on {
		return
	}
	r.carried = append(r.carried, d)
	if r.met != nil && r.awaited == d && !closed(r.met) {
		close(r.met)
	}
}

// await returns what is closed when the frame has come.
func (r *record) await(d digest) <-chan struct{} {
	r.awaited, r.met = d, make(chan struct{})
	if slices.Contains(r.carried, d) {
		close(r.met)
	}
	return r.met
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// since returns from where on in what the old connection has carried the new
// one was open, too, by what that one has carried. The record begins before
// that: with the dial, of which nobody knows at what moment the backend began to
// speak to the new one, or earlier still where frames wait to be read.
//
// It is where both begin to agree. Where what agrees begins several times, it is
// the first: all that follows is equal then, and nothing is given twice. Where
// they do not agree, because one has missed something, it is the first that
// both have. Where they have nothing in common, the old one has not come so far,
// or has gone deaf; but a new one that has carried nothing at all may be behind.
func since(carried, own []digest) int {
	if len(own) == 0 {
		return 0
	}
	for j, d := range own {
		first := slices.Index(carried, d)
		if first < 0 {
			continue
		}
		for k := first; k < len(carried); k++ {
			if carried[k] == d && agree(carried[k:], own[j:]) {
				return k
			}
		}
		return first
	}
	return len(carried)
}

// agree reports whether the one is how the other begins.
func agree(a, b []digest) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// dropOne takes one of a multiset, if it is in it.
func dropOne(of map[digest]int, d digest) bool {
	n := of[d]
	switch {
	case n == 0:
		return false
	case n == 1:
		delete(of, d)
	default:
		of[d] = n - 1
	}
	return true
}
