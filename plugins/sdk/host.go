package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Host is what a plugin may ask of the process that runs it. It is safe for
// concurrent use. Before the plugin is connected, requests fail with
// [ErrUnavailable].
type Host struct {
	// Name is the name that the operator runs the plugin under.
	Name string
	// Accounts are those it was granted.
	Accounts []string
	// Log ends up in the bridge's log, under the plugin's name.
	Log *slog.Logger

	mu      sync.Mutex
	line    chan<- *pluginv1.FromPlugin // nil: not connected
	gone    <-chan struct{}             // closed when the line is
	last    uint64
	waiting map[uint64]chan *pluginv1.Answer

	counts counts
}

var errNotConnected = fmt.Errorf("%w: not connected to the host", ErrUnavailable)

func (h *Host) ask(ctx context.Context, req *pluginv1.Request) (*pluginv1.Answer, error) {
	answer := make(chan *pluginv1.Answer, 1)
	h.mu.Lock()
	line, gone := h.line, h.gone
	h.last++
	req.Id = h.last
	if line != nil {
		h.waiting[req.Id] = answer
	}
	h.mu.Unlock()
	if line == nil {
		return nil, errNotConnected
	}
	defer func() {
		h.mu.Lock()
		delete(h.waiting, req.Id)
		h.mu.Unlock()
	}()

	select {
	case line <- &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: req}}:
	case <-gone:
		return nil, errNotConnected
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case a := <-answer:
		if e := a.GetError(); e != nil {
			return nil, answerError(e)
		}
		return a, nil
	case <-gone:
		return nil, errNotConnected
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// connect opens the way for requests until gone is closed.
func (h *Host) connect(line chan<- *pluginv1.FromPlugin, gone <-chan struct{}) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.line != nil {
		return errors.New("connected already: a plugin process has one line")
	}
	h.line, h.gone, h.waiting = line, gone, map[uint64]chan *pluginv1.Answer{}
	return nil
}

// connected reports whether there is, or was, a line.
func (h *Host) connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.line != nil
}

func (h *Host) answered(a *pluginv1.Answer) {
	h.mu.Lock()
	waiting := h.waiting[a.GetRequest()]
	h.mu.Unlock()
	if waiting != nil {
		select {
		case waiting <- a:
		default: // a second answer to one request
		}
	}
}
