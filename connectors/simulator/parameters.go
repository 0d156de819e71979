package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// parameters are what a fault may take: whether one is given, and what is
// wrong with it.
var parameters = []struct {
	name  string
	given func(Fault) bool
	wrong func(Fault) string
}{
	{"duration", func(f Fault) bool { return f.Duration != 0 }, func(f Fault) string {
		return unless(f.Duration > 0, "%v is not positive", f.Duration)
	}},
	{"delay", func(f Fault) bool { return f.Delay != 0 }, func(f Fault) string {
		return unless(f.Delay > 0, "%v is not positive", f.Delay)
	}},
	{"count", func(f Fault) bool { return f.Count != 0 }, func(f Fault) string {
		return unless(f.Count > 0 && f.Count <= 1_000_000, "%d is not 1 to 1000000", f.Count)
	}},
	{"code", func(f Fault) bool { return f.Code != 0 }, func(f Fault) string {
		return unless(sendable(f.Code), "%d is not a code that a close frame can have", f.Code)
	}},
	{"kind", func(f Fault) bool { return f.Kind != "" }, func(f Fault) string {
		return unless(malformed[f.Kind] != nil, "%q is not one of %s", f.Kind,
			strings.Join(slices.Sorted(maps.Keys(malformed)), ", "))
	}},
	{"percent", func(f Fault) bool { return f.Percent != 0 }, func(f Fault) string {
		return unless(f.Percent > 0 && f.Percent <= 100, "%d is not 1 to 100", f.Percent)
	}},
	{"offset", func(f Fault) bool { return f.Offset != 0 }, func(Fault) string { return "" }},
}

func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// sendable reports whether RFC 6455 (7.4) lets a close frame have the code.
func sendable(code int) bool {
	switch c := websocket.StatusCode(code); c {
	case 1004, websocket.StatusNoStatusRcvd, websocket.StatusAbnormalClosure, websocket.StatusTLSHandshake:
		return false
	default:
		return c >= websocket.StatusNormalClosure && c <= websocket.StatusBadGateway || c >= 3000 && c <= 4999
	}
}

// check says what is wrong with the parameters of a fault.
func (r rule) check(f Fault) error {
	for _, p := range parameters {
		if !p.given(f) {
			continue
		}
		if !slices.Contains(r.takes, p.name) {
			takes := "no parameter"
			if len(r.takes) > 0 {
				takes = strings.Join(r.takes, ", ")
			}
			return fmt.Errorf("it does not take %s; it takes %s", p.name, takes)
		}
		if wrong := p.wrong(f); wrong != "" {
			return fmt.Errorf("%s %s", p.name, wrong)
		}
	}
	return nil
}

// fill gives parameters that are zero their defaults.
func (r rule) fill(f Fault) Fault {
	if f.Duration == 0 {
		f.Duration = r.defaults.Duration
	}
	if f.Delay == 0 {
		f.Delay = r.defaults.Delay
	}
	if f.Count == 0 {
		f.Count = r.defaults.Count
	}
	if f.Kind == "" {
		f.Kind = r.defaults.Kind
	}
	if f.Percent == 0 {
		f.Percent = r.defaults.Percent
	}
	if f.Offset == 0 {
		f.Offset = r.defaults.Offset
	}
	return f
}
