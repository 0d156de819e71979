package process

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// pluginKey is the attribute that names a record's plugin.
const pluginKey = "plugin"

// record is a line of hclog's JSON format.
type record struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// parseRecord reads a line with "@message" and "@level", as hclog and
// plugins/sdk write it. Nothing in it is trusted: go-plugin's own parser
// panics on a message that is a number. "@timestamp" is left out, as the
// host's log has one clock.
func parseRecord(line string) (record, bool) {
	if !strings.HasPrefix(line, "{") {
		return record{}, false
	}
	dec := json.NewDecoder(strings.NewReader(line))
	dec.UseNumber()
	var fields map[string]any
	if dec.Decode(&fields) != nil || dec.More() {
		return record{}, false
	}
	message, ok := fields["@message"].(string)
	level, ok2 := fields["@level"].(string)
	if !ok || !ok2 {
		return record{}, false
	}
	r := record{level: parseLevel(level), message: message}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "@message", "@level", "@timestamp":
		default:
			r.attrs = append(r.attrs, slog.Attr{Key: safeKey(key), Value: value(fields[key])})
		}
	}
	return r, true
}

func parseLevel(name string) slog.Level {
	var level slog.Level
	switch {
	case strings.EqualFold(name, "trace"):
		return slog.LevelDebug - 4
	case level.UnmarshalText([]byte(name)) != nil:
		return slog.LevelInfo
	}
	return level
}

// safeKey keeps a plugin from writing in the name of another, or of slog.
func safeKey(key string) string {
	switch key = strings.TrimPrefix(key, "@"); key {
	case pluginKey, slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey:
		return "_" + key
	}
	return key
}

// value keeps whole numbers whole: ids are beyond what a float64 holds.
func value(v any) slog.Value {
	n, ok := v.(json.Number)
	if !ok {
		return slog.AnyValue(v)
	}
	if i, err := n.Int64(); err == nil {
		return slog.Int64Value(i)
	}
	if f, err := n.Float64(); err == nil {
		return slog.Float64Value(f)
	}
	return slog.StringValue(n.String())
}

func (r record) String() string {
	var b strings.Builder
	b.WriteString(r.message)
	for _, a := range r.attrs {
		b.WriteString(" " + a.String())
	}
	return b.String()
}
