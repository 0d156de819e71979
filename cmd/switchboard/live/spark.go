package live

import (
	"strings"
	"time"
)

const (
	// sampleEvery is what one bar of a chart stands for; sampleSlack is how
	// much earlier a look may come and still make one.
	sampleEvery, sampleSlack = time.Second, 100 * time.Millisecond
	// keptSamples is how far back charts reach.
	keptSamples = 256
	// smooth is over how many samples the rate in figures is taken, so that it
	// can be read.
	smooth = 10
)

// series is how fast one count grew, a sample a second.
type series struct {
	begun bool
	last  uint64
	rates []float64 // oldest first
}

// sample takes the count d after the one before.
func (s *series) sample(total uint64, d time.Duration) {
	if s.begun && d > 0 {
		if len(s.rates) >= keptSamples {
			s.rates = append(s.rates[:0], s.rates[1:]...)
		}
		// A count that fell is another bridge's: its rate begins anew.
		s.rates = append(s.rates, float64(total-min(total, s.last))/d.Seconds())
	}
	s.begun, s.last = true, total
}

// rate is the mean of the latest samples; false: there is none.
func (s *series) rate() (float64, bool) {
	if s == nil || len(s.rates) == 0 {
		return 0, false
	}
	latest := s.rates[max(0, len(s.rates)-smooth):]
	sum := 0.0
	for _, r := range latest {
		sum += r
	}
	return sum / float64(len(latest)), true
}

var bars = []rune("▁▂▃▄▅▆▇█")

// chart draws the latest samples, the newest at the right, in exactly width
// cells. The highest bar is the highest sample shown; nothing at all is the
// lowest bar, so that something, however little, stands out.
func (s *series) chart(width int) string {
	if width <= 0 {
		return ""
	}
	var rates []float64
	if s != nil {
		rates = s.rates[max(0, len(s.rates)-width):]
	}
	top := 0.0
	for _, r := range rates {
		top = max(top, r)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(rates)))
	for _, r := range rates {
		bar := 0
		if r > 0 {
			bar = max(1, int(r/top*float64(len(bars)-1)+0.5))
		}
		b.WriteRune(bars[bar])
	}
	return b.String()
}
