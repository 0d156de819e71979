package badplugins

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The kinds of records.
const (
	gotEvent    = "event"    // a handler was called
	accepted    = "accepted" // an action was
	refused     = "refused"  // an action was not
	struck      = "struck"   // the plugin is about to do its harm
	answeredBy  = "answered" // a code that an action was answered with, once each
	recordsName = "%s.jsonl"
)

// record is a line in which a plugin writes down what happened to it.
type record struct {
	Kind string `json:"kind"`
	// At is when, in nanoseconds since 1970, by the clock of this machine,
	// which the stream's times are of as well.
	At int64 `json:"at"`
	// Process tells the plugin's processes apart: in PID namespaces of their
	// own, all have the same id.
	Process int64 `json:"process"`
	// ID is the event's or the action's.
	ID           string `json:"id,omitempty"`
	Conversation string `json:"conversation,omitempty"`
	// Type and Attempt are the event's.
	Type    string `json:"type,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// Text is why an action was refused.
	Text string `json:"text,omitempty"`
}

func (r record) time() time.Time { return time.Unix(0, r.At) }

// notebook is the file of one plugin; its processes write to it one after the
// other. It is safe for concurrent use.
type notebook struct {
	process int64
	mu      sync.Mutex
	file    *os.File
}

// openNotebook opens the file of the plugin of that name. A plugin that cannot
// write down what it gets is of no use here: it ends.
func openNotebook(dir, plugin string) *notebook {
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf(recordsName, plugin)), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, "open the records:", err)
		os.Exit(1)
	}
	return &notebook{process: time.Now().UnixNano(), file: f}
}

// write adds a record. The time is taken under the lock, so that the order in
// the file is that of the times.
func (n *notebook) write(r record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.At, r.Process = time.Now().UnixNano(), n.process
	line, err := json.Marshal(r)
	if err == nil {
		_, err = n.file.Write(append(line, '\n'))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "write a record:", err)
		os.Exit(1)
	}
}

// readRecords reads what a plugin has written so far; none where it never did.
func readRecords(dir, plugin string) ([]record, error) {
	f, err := os.Open(filepath.Join(dir, fmt.Sprintf(recordsName, plugin)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the records: %w", err)
	}
	defer f.Close()
	var list []record
	for in := bufio.NewReader(f); ; {
		line, err := in.ReadBytes('\n')
		if err != nil { // what has no end yet was cut off, or is being written
			return list, nil
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("read the records of %s: %w", plugin, err)
		}
		list = append(list, r)
	}
}
