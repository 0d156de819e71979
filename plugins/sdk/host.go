package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"unicode/utf8"

	"github.com/switchboard-dev/switchboard/proto/event"
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
}

// Do puts an action into the outbound queue and returns when it is there, on
// disk. The action needs an ID; a [Delivery] makes one from its event.
// duplicate says that the same id had been accepted before.
func (h *Host) Do(ctx context.Context, a event.Action) (duplicate bool, err error) {
	if err := a.Check(); err != nil {
		return false, fmt.Errorf("send %s to conversation %s: %w: %w", a.Type, a.Conversation, ErrInvalid, err)
	}
	ans, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Act{Act: pluginv1.FromAction(a)}})
	if err != nil {
		return false, fmt.Errorf("send %s to conversation %s: %w", a.Type, a.Conversation, err)
	}
	return ans.GetAccepted().GetDuplicate(), nil
}

// Get returns what the plugin stored under key, or [ErrNotFound].
func (h *Host) Get(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	ans, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Get{Get: &pluginv1.Get{Key: key}}})
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	return ans.GetValue().GetValue(), nil
}

// Put stores value under key and returns when it is on disk. Keys have up to
// 256 bytes, values up to 64 KiB. What is stored survives restarts and belongs
// to the plugin alone.
func (h *Host) Put(ctx context.Context, key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	if len(value) > maxValue {
		return fmt.Errorf("put %q: %w: the value has %d bytes, %d are allowed", key, ErrInvalid, len(value), maxValue)
	}
	_, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Put{Put: &pluginv1.Put{Key: key, Value: value}}})
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	return nil
}

// Delete removes what is under key; that nothing was there is no error.
func (h *Host) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	_, err := h.ask(ctx, &pluginv1.Request{Request: &pluginv1.Request_Delete{Delete: &pluginv1.Delete{Key: key}}})
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

// Bounds of the store. The host holds them too; here, they keep what gRPC
// cannot carry from breaking the line.
const (
	maxKey   = 256
	maxValue = 64 << 10
)

func checkKey(key string) error {
	switch {
	case key == "" || len(key) > maxKey:
		return fmt.Errorf("%w: a key has 1 to %d bytes, this has %d", ErrInvalid, maxKey, len(key))
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: a key must be UTF-8", ErrInvalid)
	}
	return nil
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
