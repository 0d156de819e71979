package outbox

import "fmt"

// Limits bound what is accepted and not finished.
type Limits struct {
	// Waiting is how many actions of an account; default 100,000.
	Waiting int
	// WaitingPerSender is how many of them one sender may have; default 10,000. Above
	// what an outbox holds at once, one sender could hold up the others.
	WaitingPerSender int
	// Bytes is how large their bodies may be together; default 256 MiB.
	Bytes int64
}

func (l Limits) orDefault() Limits {
	if l.Waiting <= 0 {
		l.Waiting = 100_000
	}
	if l.WaitingPerSender <= 0 {
		l.WaitingPerSender = 10_000
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 20
	}
	return l
}

// backlog is what of an account is accepted and not finished.
type backlog struct {
	limits   Limits
	waiting  int
	bytes    int64
	bySender map[string]int
}

// room says why another action does not fit.
func (b *backlog) room(account, sender string, size int) error {
	l := b.limits
	switch {
	case b.bySender[sender] >= l.WaitingPerSender:
		return fmt.Errorf("%w: %d actions of sender %q wait already, which is accounts.%s.outbox.waiting_per_sender; raise it, or wait until some are done",
			ErrFull, b.bySender[sender], sender, account)
	case b.waiting >= l.Waiting:
		return fmt.Errorf("%w: %d actions of account %s wait already, which is accounts.%s.outbox.waiting; raise it, or wait until some are done",
			ErrFull, b.waiting, account, account)
	case b.bytes+int64(size) > l.Bytes:
		return fmt.Errorf("%w: %d bytes of account %s's actions wait already, and this one has %d, which is more than accounts.%s.outbox.bytes (%d); raise it, or wait until some are done",
			ErrFull, b.bytes, account, size, account, l.Bytes)
	}
	return nil
}

func (b *backlog) add(sender string, size int) {
	b.waiting++
	b.bytes += int64(size)
	b.bySender[sender]++
}

func (b *backlog) remove(sender string, size int) {
	b.waiting--
	b.bytes -= int64(size)
	if b.bySender[sender]--; b.bySender[sender] == 0 {
		delete(b.bySender, sender)
	}
}
