package host

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Bounds of what a plugin counts.
const (
	// maxSeries is how many counters it may have, each set of labels one.
	maxSeries = 200
	// maxLabels is how many labels each may have.
	maxLabels = 5
	// maxCounterName bounds the names of counters and labels, and
	// maxLabelValue the values, in bytes: longer ones are cut short.
	maxCounterName, maxLabelValue = 64, 128
)

// Counter is what a plugin counts.
type Counter struct {
	// Name is [a-z0-9_]+, without the _total that counters end in.
	Name string `json:"name"`
	// Labels set it apart from others of the name.
	Labels map[string]string `json:"labels,omitempty"`
	// Value is the sum since the host began, over restarts of the plugin.
	Value float64 `json:"value"`
}

// counters are what one plugin counts. They are safe for concurrent use.
type counters struct {
	mu      sync.Mutex
	series  map[string]*Counter
	dropped uint64
}

// add counts what a plugin tells. What is no counter, or one too many, is
// dropped: a plugin must not fill the operator's metrics.
func (c *counters) add(list []*pluginv1.Counter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, told := range list {
		name := strings.TrimSuffix(told.GetName(), "_total")
		if !isCounterName(name) || !(told.GetAdd() >= 0) || math.IsInf(told.GetAdd(), 1) || len(told.GetLabels()) > maxLabels {
			c.dropped++
			continue
		}
		key, labels, ok := labelsOf(told.GetLabels())
		if !ok {
			c.dropped++
			continue
		}
		key = name + key
		s := c.series[key]
		if s == nil {
			if len(c.series) >= maxSeries {
				c.dropped++
				continue
			}
			if c.series == nil {
				c.series = map[string]*Counter{}
			}
			s = &Counter{Name: name, Labels: labels}
			c.series[key] = s
		}
		s.Value += told.GetAdd()
	}
}

// labelsOf are the labels as they are kept, and what tells them from others.
func labelsOf(told map[string]string) (key string, labels map[string]string, ok bool) {
	if len(told) == 0 {
		return "", nil, true
	}
	labels = make(map[string]string, len(told))
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if !isCounterName(name) || name[0] < 'a' || name == "plugin" { // that is the host's
			return "", nil, false
		}
		value := told[name]
		if len(value) > maxLabelValue {
			value = strings.ToValidUTF8(value[:maxLabelValue], "")
		}
		labels[name] = value
		key += "\x00" + name + "\x00" + value
	}
	return key, labels, true
}

// isCounterName reports whether Prometheus and people can read the name.
func isCounterName(name string) bool {
	return name != "" && len(name) <= maxCounterName && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}

// snapshot lists the counters by name and labels.
func (c *counters) snapshot() (list []Counter, dropped uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(c.series), cmp.Compare) {
		list = append(list, *c.series[key])
	}
	return list, c.dropped
}
