package process

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// outputOf returns the records that writes make, less their time.
func outputOf(writes ...string) []map[string]any {
	var logged records
	o := newOutput(logged.logger(), newQuota())
	for _, w := range writes {
		o.Write([]byte(w))
	}
	o.flush()
	return logged.all()
}

func TestOutput(t *testing.T) {
	const stack = "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:4 +0x1d\nexit status 2\n"
	tests := []struct {
		name   string
		writes []string
		want   string // a JSON array
	}{
		{name: "plain lines are info", writes: []string{"one\ntwo\r\n"},
			want: `[{"level":"INFO","msg":"one"},{"level":"INFO","msg":"two"}]`},
		{name: "a line in pieces", writes: []string{"on", "e\nt", "wo"},
			want: `[{"level":"INFO","msg":"one"},{"level":"INFO","msg":"two"}]`},
		{name: "empty lines are left out", writes: []string{"\n\none\n"},
			want: `[{"level":"INFO","msg":"one"}]`},
		{name: "hclog's lines keep level and fields", writes: []string{
			`{"@level":"warn","@message":"slow","@module":"send","@timestamp":"2026-01-02T03:04:05Z","id":9007199254740993,"part":0.5,"to":{"a":[1]}}` + "\n"},
			want: `[{"level":"WARN","msg":"slow","module":"send","id":9007199254740993,"part":0.5,"to":{"a":[1]}}]`},
		{name: "trace is below debug", writes: []string{`{"@level":"trace","@message":"x"}`},
			want: `[{"level":"DEBUG-4","msg":"x"}]`},
		{name: "an unknown level is info", writes: []string{`{"@level":"loud","@message":"x"}`},
			want: `[{"level":"INFO","msg":"x"}]`},
		{name: "a record cannot be forged", writes: []string{`{"@level":"info","@message":"x","plugin":"other","level":"ERROR","time":"then"}`},
			want: `[{"level":"INFO","msg":"x","_plugin":"other","_level":"ERROR","_time":"then"}]`},
		{name: "other JSON is a plain line", writes: []string{`{"@level":"info","@message":1}`},
			want: `[{"level":"INFO","msg":"{\"@level\":\"info\",\"@message\":1}"}]`},
		{name: "a panic is one record", writes: []string{"before\n" + stack},
			want: `[{"level":"INFO","msg":"before"},{"level":"ERROR","msg":"panic: boom","stack":` + quote(strings.TrimSuffix(stack, "\n")) + `}]`},
		{name: "records in the middle of a panic stay records", writes: []string{"fatal error: x\n", `{"@level":"info","@message":"y"}` + "\n", "goroutine 1:\n"},
			want: `[{"level":"INFO","msg":"y"},{"level":"ERROR","msg":"fatal error: x","stack":"fatal error: x\ngoroutine 1:"}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []map[string]any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			got, _ := json.Marshal(outputOf(tt.writes...))
			if w, _ := json.Marshal(want); string(got) != string(w) {
				t.Errorf("got  %s\nwant %s", got, w)
			}
		})
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestWholeNumbersStayWhole(t *testing.T) {
	r, ok := parseRecord(`{"@level":"info","@message":"","id":9007199254740993}`)
	if !ok || r.attrs[0].Value.Kind() != slog.KindInt64 || r.attrs[0].Value.Int64() != 9007199254740993 {
		t.Errorf("got %v", r)
	}
}

func TestOutputIsBounded(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("x", 10*maxLine) + "\nnext\n",
		"panic: x\n" + strings.Repeat("goroutine 1 [running]:\n", maxStack),
		"panic: " + strings.Repeat("x", 10*maxLine) + "\n" + strings.Repeat("x", 10*maxLine) + "\n",
	} {
		for _, r := range outputOf(text) {
			msg, _ := r["msg"].(string)
			stack, _ := r["stack"].(string)
			if len(msg) > maxLine+100 || len(stack) > maxStack+maxLine {
				t.Errorf("a record of %d and %d bytes", len(msg), len(stack))
			}
		}
	}
	if got := outputOf(strings.Repeat("x", maxLine+1) + "\nnext\n"); len(got) != 2 || got[1]["msg"] != "next" {
		t.Errorf("after a long line: %v", got)
	}
}

// A process may print what looks like a panic and go on.
func TestPanicDoesNotSwallowWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged records
		o := newOutput(logged.logger(), newQuota())
		o.Write([]byte("panic: not really\n"))
		time.Sleep(panicTime)
		synctest.Wait()
		o.Write([]byte("next\n"))
		if got := logged.all(); len(got) != 2 || got[0]["level"] != "ERROR" || got[1]["level"] != "INFO" {
			t.Errorf("got %v", got)
		}
	})
}

// A plugin that prints without end must not fill the disk.
func TestEndlessOutputIsBounded(t *testing.T) {
	const seconds = 60
	tests := []struct {
		name, line string
		burst      int // records
		rate       int // and a second
	}{
		{"plain lines", "again\n", lineBurst, lineRate},
		{"records", `{"@level":"error","@message":"again"}` + "\n", lineBurst, lineRate},
		{"records in a panic", "panic: again\n" + `{"@level":"error","@message":"again"}` + "\n", lineBurst + panicsMax, lineRate + 1},
		{"long lines", strings.Repeat("x", 32<<10) + "\n", byteBurst / (32 << 10), byteRate / (32 << 10)},
		{"panics", "panic: again\n", panicsMax, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged records
				q := newQuota()
				one, two := newOutput(logged.logger(), q), newOutput(logged.logger(), q)
				for range seconds * 10 {
					for range 50 {
						one.Write([]byte(tt.line))
						two.Write([]byte(tt.line))
					}
					time.Sleep(time.Second / 10)
				}
				one.flush()
				two.flush()
				all, told, dropped := logged.all(), 0, 0.0
				for _, r := range all {
					if n, ok := r["lines"].(float64); ok {
						told, dropped = told+1, dropped+n
					}
				}
				kept := len(all) - told
				if limit := tt.burst + seconds*tt.rate; kept > limit+2 || kept < tt.burst {
					t.Errorf("%d records, want from %d to %d", kept, tt.burst, limit)
				}
				if told == 0 || told > seconds/10+3 {
					t.Errorf("told %d times of what was left out", told)
				}
				if tt.name != "panics" && tt.name != "records in a panic" && kept+int(dropped) != seconds*1000 {
					t.Errorf("%d kept and %v left out of %d", kept, dropped, seconds*1000)
				}
			})
		})
	}
}

func TestABurstIsLoggedInFull(t *testing.T) {
	if got := outputOf(strings.Repeat("again\n", lineBurst)); len(got) != lineBurst {
		t.Errorf("%d of %d", len(got), lineBurst)
	}
}

func FuzzOutput(f *testing.F) {
	f.Add("plain\n", `{"@message":"m","@level":"info","k":1e999}`)
	f.Add("panic: x\ngoroutine 1:", "\n{\"@message\":1}\n")
	f.Add("\r\n", strings.Repeat("y", maxLine))
	f.Fuzz(func(t *testing.T, a, b string) {
		whole, pieces := outputOf(a+b), outputOf(a, b)
		w, _ := json.Marshal(whole)
		p, _ := json.Marshal(pieces)
		if string(w) != string(p) {
			t.Errorf("whole  %s\npieces %s", w, p)
		}
	})
}
