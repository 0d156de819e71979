package sdk

import (
	"log/slog"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// countEvery is how often counters are told to the host.
const countEvery = time.Second

// maxSeries bounds the counters of one second, by name and labels.
const maxSeries = 1000

var counterName = regexp.MustCompile(`^[a-z0-9_]+$`)

// counts gathers what is to be told.
type counts struct {
	mu     sync.Mutex
	series map[string]*pluginv1.Counter
	// refused bounds the log to the first mistake.
	refused sync.Once
}

// Count adds to a counter in the operator's metrics, under the plugin's name.
// The name is [a-z0-9_]+. Labels are pairs of name and value, such as "result",
// "ok"; there must be few values, none made of an id or of what customers write.
// Counters are told once a second and when the plugin comes to its end; a crash
// loses the last second's. Count never blocks.
func (h *Host) Count(name string, add float64, labels ...string) {
	if !counterName.MatchString(name) || len(labels)%2 != 0 || !utf8Valid(labels) || add < 0 || math.IsNaN(add) || math.IsInf(add, 0) {
		h.counts.refuse(h.Log, "a counter's name is [a-z0-9_]+, its labels are pairs in UTF-8, and it only grows", name)
		return
	}
	series := strings.Join(append([]string{name}, labels...), "\x00")
	h.counts.mu.Lock()
	defer h.counts.mu.Unlock()
	c := h.counts.series[series]
	if c == nil {
		if len(h.counts.series) >= maxSeries {
			h.counts.refuse(h.Log, "too many counters at once; are their labels few and bounded?", name)
			return
		}
		c = &pluginv1.Counter{Name: name}
		if len(labels) > 0 {
			c.Labels = make(map[string]string, len(labels)/2)
		}
		for i := 0; i < len(labels); i += 2 {
			c.Labels[labels[i]] = labels[i+1]
		}
		if h.counts.series == nil {
			h.counts.series = map[string]*pluginv1.Counter{}
		}
		h.counts.series[series] = c
	}
	c.Add += add
}

func utf8Valid(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !utf8.ValidString(s) })
}

func (c *counts) refuse(log *slog.Logger, why, name string) {
	c.refused.Do(func() { log.Warn("counter dropped, and further ones like it: "+why, "counter", name) })
}

// take is what was counted since the last time; nil: nothing.
func (c *counts) take() *pluginv1.FromPlugin {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.series) == 0 {
		return nil
	}
	list := slices.Collect(maps.Values(c.series))
	c.series = nil
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Counters{Counters: &pluginv1.Counters{Counters: list}}}
}
