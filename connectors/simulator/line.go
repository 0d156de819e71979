package simulator

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// line is the TCP connection under a socket, which can be made to look like
// one whose peer has stopped: what is written to it vanishes, and nothing is
// read from it.
type line struct {
	net.Conn
	frozen atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func newLine() *line { return &line{closed: make(chan struct{})} }

// Read blocks until Close once the line is frozen.
func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.frozen.Load() {
		<-l.closed
		return 0, net.ErrClosed
	}
	return n, err
}

// Write discards p once the line is frozen.
func (l *line) Write(p []byte) (int, error) {
	if l.frozen.Load() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// Close closes the connection and frees a blocked Read.
func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// hijacker puts a line between an HTTP connection and who takes it over.
type hijacker struct {
	http.ResponseWriter
	line *line
}

// Hijack takes the connection over.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.line.Conn = conn
	rw.Writer.Reset(h.line)
	return h.line, rw, nil
}
