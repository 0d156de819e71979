package process

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// maxLine bounds a line, in bytes; the rest of a longer one is dropped.
	maxLine = 64 << 10
	// maxStack bounds the text of a panic, in bytes.
	maxStack = 64 << 10
	// panicTime is how long after its first line the text of a panic is
	// collected, if the process goes on.
	panicTime = time.Second
	// keptLines and keptBytes bound what lastWords returns.
	keptLines, keptBytes = 5, 200
)

// output makes log records of what a plugin prints: of a line of hclog's JSON
// one with its level, message and fields; of any other line one at info; of a
// panic and its stack one at error. It is a writer that takes all, and leaves
// out of the log what is over the quota.
type output struct {
	log   *slog.Logger
	quota *quota

	mu   sync.Mutex
	line []byte // unfinished
	cut  bool   // line has reached maxLine

	panicked string // a panic's first line, once there was one
	stack    []byte // of the panic that is being collected; nil: none is
	settle   *time.Timer

	last []string
}

func newOutput(log *slog.Logger, q *quota) *output { return &output{log: log, quota: q} }

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(o.line); len(part) > room {
			part, o.cut = part[:room], true
		}
		o.line = append(o.line, part...)
		if ended {
			o.endLine()
		}
		p = rest
	}
	return n, nil
}

// flush logs what is incomplete, at the end of the process.
func (o *output) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) > 0 {
		o.endLine()
	}
	o.endPanic()
	o.quota.tell(o.log, true)
}

func (o *output) endLine() {
	first := o.stack == nil && (bytes.HasPrefix(o.line, []byte("panic: ")) || bytes.HasPrefix(o.line, []byte("fatal error: ")))
	collected := o.stack != nil && !bytes.HasPrefix(o.line, []byte("{"))
	if len(o.line) > 0 && !first && !collected && !o.quota.allows(len(o.line)) {
		o.keep(string(o.line[:min(len(o.line), keptBytes+1)]))
		o.line, o.cut = o.line[:0], false
		o.quota.tell(o.log, false)
		return
	}
	line := strings.TrimSuffix(string(o.line), "\r")
	cut := o.cut
	o.line, o.cut = o.line[:0], false
	if cut {
		line += " … (cut)"
	}

	if r, ok := parseRecord(line); ok {
		o.keep(r.String())
		o.log.LogAttrs(context.Background(), r.level, r.message, r.attrs...)
		return
	}
	switch {
	case o.stack != nil:
		if len(o.stack)+len(line) < maxStack {
			o.stack = append(append(o.stack, '\n'), line...)
		}
	case first:
		o.panicked, o.stack = line, []byte(line)
		o.settle = time.AfterFunc(panicTime, o.flushPanic)
	case line != "":
		o.keep(line)
		o.log.Info(line)
	}
}

func (o *output) flushPanic() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.endPanic()
}

func (o *output) endPanic() {
	if o.stack == nil {
		return
	}
	o.settle.Stop()
	if o.quota.panics.Allow() {
		o.log.Error(o.panicked, "stack", string(o.stack))
	} else {
		o.quota.drop()
	}
	o.stack = nil
}

func (o *output) keep(line string) {
	if len(o.last) == keptLines {
		o.last = o.last[1:]
	}
	if len(line) > keptBytes {
		line = strings.ToValidUTF8(line[:keptBytes], "") + "…"
	}
	o.last = append(o.last, line)
}

// lastWords is the last of what was printed, for an error: what the process
// panicked with, or else a few lines.
func (o *output) lastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.panicked != "" {
		return o.panicked
	}
	return strings.Join(o.last, " | ")
}
