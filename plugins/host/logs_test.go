package host

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestTheLogThatIsKeptIsBounded(t *testing.T) {
	var r ring
	log := slog.New(r.handler())
	log.Debug("not kept")
	for n := range keptRecords + 5 {
		log.Info(fmt.Sprint("record ", n))
	}
	lines, total, _ := r.after(0)
	if len(lines) != keptRecords || total != keptRecords+5 || !strings.Contains(string(lines[0]), `"record 5"`) {
		t.Errorf("%d of %d kept, from %s", len(lines), total, lines[0])
	}
	if lines, _, _ := r.after(total - 2); len(lines) != 2 || !strings.Contains(string(lines[1]), `"record 1004"`) {
		t.Errorf("the last two are %s", lines)
	}
	for range 100 {
		log.Info(strings.Repeat("x", keptBytes/10))
	}
	if lines, _, _ := r.after(0); len(lines) != 9 || r.bytes > keptBytes {
		t.Errorf("%d large ones kept, %d bytes", len(lines), r.bytes)
	}
	log.Info(strings.Repeat("x", 2*keptBytes))
	if lines, _, _ := r.after(0); len(lines) != 1 {
		t.Errorf("%d kept beside one that is too large", len(lines))
	}
}
