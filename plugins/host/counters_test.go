package host_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/switchboard-dev/switchboard/plugins/host"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func counts(list ...*pluginv1.Counter) *pluginv1.FromPlugin {
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Counters{Counters: &pluginv1.Counters{Counters: list}}}
}

func TestCountersAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := converse(t, newWorld(aDay), granted(), host.Limits{})
		p.say(counts(
			&pluginv1.Counter{Name: "posts", Add: 1, Labels: map[string]string{"channel": "#a", "kind": "x"}},
			&pluginv1.Counter{Name: "posts_total", Add: 2.5, Labels: map[string]string{"kind": "x", "channel": "#a"}},
			&pluginv1.Counter{Name: "posts", Add: 1, Labels: map[string]string{"channel": "#b"}},
		))
		p.say(counts(&pluginv1.Counter{Name: "5xx", Add: 3}, &pluginv1.Counter{Name: "posts", Add: 0}))
		synctest.Wait()
		got := p.Snapshot("tester").Counters
		want := "[{5xx map[] 3} {posts map[] 0} {posts map[channel:#a kind:x] 3.5} {posts map[channel:#b] 1}]"
		if fmt.Sprint(got) != want {
			t.Errorf("counters %v, want %s", got, want)
		}
	})
}

func TestWhatIsNoCounterIsDropped(t *testing.T) {
	six := map[string]string{"a": "", "b": "", "c": "", "d": "", "e": "", "f": ""}
	for name, c := range map[string]*pluginv1.Counter{
		"no name":              {Add: 1},
		"total alone":          {Name: "_total", Add: 1},
		"a capital":            {Name: "Posts", Add: 1},
		"a long name":          {Name: strings.Repeat("x", 65), Add: 1},
		"less":                 {Name: "a", Add: -1},
		"no number":            {Name: "a", Add: math.NaN()},
		"no end":               {Name: "a", Add: math.Inf(1)},
		"many labels":          {Name: "a", Labels: six},
		"a label's name":       {Name: "a", Labels: map[string]string{"a-b": ""}},
		"a label like no name": {Name: "a", Labels: map[string]string{"5": ""}},
		"the host's label":     {Name: "a", Labels: map[string]string{"plugin": "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := converse(t, newWorld(aDay), granted(), host.Limits{})
				p.say(counts(c))
				synctest.Wait()
				if s := p.Snapshot("tester"); len(s.Counters) != 0 || s.CountersDropped != 1 {
					t.Errorf("counters %v, %d dropped", s.Counters, s.CountersDropped)
				}
			})
		})
	}
}

func TestCountersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := converse(t, newWorld(aDay), granted(), host.Limits{})
		for n := range 300 {
			p.say(counts(&pluginv1.Counter{Name: "a", Add: 1, Labels: map[string]string{"n": fmt.Sprint(n)}}))
		}
		p.say(counts(&pluginv1.Counter{Name: "a", Add: 1, Labels: map[string]string{"n": "0"}}))
		synctest.Wait()
		if s := p.Snapshot("tester"); len(s.Counters) != 200 || s.CountersDropped != 100 || s.Counters[0].Value != 2 {
			t.Errorf("%d counters, %d dropped, the first is %v", len(s.Counters), s.CountersDropped, s.Counters[0])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := converse(t, newWorld(aDay), granted(), host.Limits{})
		p.say(counts(&pluginv1.Counter{Name: "a", Add: 1, Labels: map[string]string{"n": strings.Repeat("é", 1000)}}))
		synctest.Wait()
		if v := p.Snapshot("tester").Counters[0].Labels["n"]; len(v) != 128 {
			t.Errorf("a value has %d bytes", len(v))
		}
	})
}
