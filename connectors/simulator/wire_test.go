package simulator

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestSpellWritesAsPythonDoes(t *testing.T) {
	tests := []struct{ name, compact, want string }{
		{"spaces after commas and colons", `{"a":[1,2],"b":{}}`, `{"a": [1, 2], "b": {}}`},
		{"none inside strings", `{"a,b:c":"d,e:f"}`, `{"a,b:c": "d,e:f"}`},
		{"quotes and backslashes stay", `["a\",:","\\",1]`, `["a\",:", "\\", 1]`},
		{"escapes what is not ASCII", `["é€"]`, `["\u00e9\u20ac"]`},
		{"writes surrogates beyond 16 bits", `["🙏"]`, `["\ud83d\ude4f"]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := string(spell([]byte(test.compact))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzSpellKeepsTheValue(f *testing.F) {
	for _, s := range []string{"", "a", `a"b\c,d:e`, "é🙏\u2028", "\x00\x1f", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		compact := encode(map[string]any{s: []any{s, nil, 1.5}})
		var want, got any
		if err := json.Unmarshal(compact, &want); err != nil {
			t.Fatal(err)
		}
		spelt := spell(compact)
		if err := json.Unmarshal(spelt, &got); err != nil {
			t.Fatalf("%v in %q", err, spelt)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestTimesHaveMicroseconds(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("CET", 3600))
	if got := string(encode(stamp{at})); got != `"2026-01-02T02:04:05.000000Z"` {
		t.Errorf("got %s", got)
	}
	var w world
	last := w.now()
	for range 1000 {
		next := w.now()
		if !next.After(last.Time) {
			t.Fatalf("%v is not after %v", next, last)
		}
		last = next
	}
}
