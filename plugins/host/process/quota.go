package process

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// What a process prints, by all its ways together, makes so many records a
	// second and of so many bytes, after a burst; and panics so many.
	lineRate, lineBurst   = 100, 1000
	byteRate, byteBurst   = 64 << 10, 1 << 20
	panicEvery, panicsMax = 10 * time.Second, 10
	// toldEvery is how often what was left out is told of.
	toldEvery = 10 * time.Second
)

// quota bounds what a process adds to the log. It is safe for concurrent use.
type quota struct {
	lines, bytes, panics *rate.Limiter

	mu      sync.Mutex
	dropped int
	told    time.Time
}

func newQuota() *quota {
	return &quota{
		lines: rate.NewLimiter(lineRate, lineBurst), bytes: rate.NewLimiter(byteRate, byteBurst),
		panics: rate.NewLimiter(rate.Every(panicEvery), panicsMax),
	}
}

// allows reports whether a line of so many bytes may be logged.
func (q *quota) allows(n int) bool {
	now := time.Now()
	if q.lines.TokensAt(now) >= 1 && q.bytes.AllowN(now, n) && q.lines.AllowN(now, 1) {
		return true
	}
	q.drop()
	return false
}

func (q *quota) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
}

// tell logs how much was left out, now and then and at last.
func (q *quota) tell(log *slog.Logger, last bool) {
	q.mu.Lock()
	n, now := q.dropped, time.Now()
	if n == 0 || !last && now.Sub(q.told) < toldEvery {
		q.mu.Unlock()
		return
	}
	q.dropped, q.told = 0, now
	q.mu.Unlock()
	log.Warn("plugin prints too much: lines were left out", "lines", n, "allowed_per_second", lineRate)
}
