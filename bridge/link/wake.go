package link

import "github.com/switchboard-dev/switchboard/bridge/link/wake"

// Wake tells what has happened to the machine; it does not block. A link that
// waits to dial again dials at once, except that of a refused token it is not
// the network's coming back that has it try again. A connection is asked for a
// sign of life at once, for a network interface that comes up says nothing about
// it; after a sleep it is replaced without asking. Where the link is away, or has
// given up, it stays so.
func (l *Link) Wake(why wake.Reason) {
	l.mu.Lock()
	if l.wakes != wake.Slept { // which is the stronger one
		l.wakes = why
	}
	l.mu.Unlock()
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// heard takes what Wake said.
func (l *Link) heard() command {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := l.wakes
	l.wakes = ""
	switch why {
	case wake.Slept:
		return slept
	case wake.Network:
		return network
	}
	return noCommand
}
