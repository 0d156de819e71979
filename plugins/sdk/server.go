package sdk

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// server is the plugin's end of the line.
type server[C any] struct {
	pluginv1.UnimplementedPluginServer
	plugin Plugin[C]
	log    *slog.Logger
	ended  func() // called when the line is over

	mu     sync.Mutex
	host   *Host
	feeds  map[string]*feed
	timers Handler
}

// feed is a declared feed with what serves it.
type feed struct {
	Feed
	handler Handler
	timeout time.Duration
}

// handlerTimeout is how long a handler may take where its feed does not say.
const handlerTimeout = 25 * time.Second

// Server returns the plugin's end of the line, for tests that run it without a
// process. [Serve] is what a plugin's main calls.
func (p Plugin[C]) Server(log *slog.Logger) pluginv1.PluginServer {
	return &server[C]{plugin: p, log: log, ended: func() {}}
}

func (s *server[C]) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	schema, err := Schema[C]()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	m := &pluginv1.Manifest{
		Name: s.plugin.Name, Version: s.plugin.Version, Summary: s.plugin.Summary,
		Events: s.plugin.Events, ConfigSchema: schema, Protocols: []uint32{pluginv1.Version},
	}
	for _, a := range s.plugin.Actions {
		m.Actions = append(m.Actions, string(a))
	}
	return m, nil
}

func (s *server[C]) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	config, err := decodeConfig(req.GetConfig(), s.plugin.Defaults)
	if err != nil {
		return &pluginv1.ConfigureResponse{Problems: problems(err)}, nil
	}
	host := &Host{Name: req.GetName(), Accounts: req.GetAccounts(), Log: s.log}
	feeds, err := s.plugin.Configure(ctx, host, config)
	if err != nil {
		return &pluginv1.ConfigureResponse{Problems: problems(err)}, nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host != nil && s.host.connected() {
		return nil, status.Error(codes.FailedPrecondition, "Configure after Connect: start another process for another configuration")
	}
	s.host, s.feeds = host, map[string]*feed{}
	s.timers = around(s.plugin.Use, s.timer)
	res := &pluginv1.ConfigureResponse{}
	for _, f := range feeds {
		if f.Name == "" {
			f.Name = "default"
		}
		if len(f.Events) == 0 {
			f.Events = s.plugin.Events
		}
		one := &feed{Feed: f, handler: around(s.plugin.Use, f.Handlers.handle), timeout: f.Timeout}
		if one.timeout <= 0 {
			one.timeout = handlerTimeout
		}
		s.feeds[f.Name] = one
		res.Feeds = append(res.Feeds, f.declare())
	}
	return res, nil
}

// Connect serves the line until the host has drained it, or it breaks.
func (s *server[C]) Connect(stream pluginv1.Plugin_ConnectServer) error {
	s.mu.Lock()
	host, feeds, timers := s.host, s.feeds, s.timers
	s.mu.Unlock()
	if host == nil {
		return status.Error(codes.FailedPrecondition, "Connect before Configure")
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	l := &line{
		host: host, feeds: feeds, timers: timers, log: s.log,
		drainHook: s.plugin.Drain, health: &health{check: s.plugin.Health},
		outcomes: make(chan *pluginv1.Outcome, maxBatch),
		requests: make(chan *pluginv1.FromPlugin),
		pongs:    make(chan *pluginv1.Pong, maxPongs),
		typing:   make(chan event.Event, maxTyping),
	}
	if err := host.connect(l.requests, ctx.Done()); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	defer s.ended()
	return l.run(ctx, stream)
}

// timer calls the plugin's handler of timers.
func (s *server[C]) timer(ctx context.Context, d *Delivery) error {
	if s.plugin.OnTimer == nil {
		return nil
	}
	return s.plugin.OnTimer(ctx, d, *d.Timer)
}

// handle calls the handler for the event.
func (h *Handlers) handle(ctx context.Context, d *Delivery) error {
	switch e := &d.Event; {
	case e.Type == event.ConversationNew && h.OnConversationNew != nil:
		return with(ctx, d, h.OnConversationNew)
	case e.Type == event.ConversationUpdated && h.OnConversationUpdated != nil:
		return with(ctx, d, h.OnConversationUpdated)
	case e.Type == event.MessageNew && h.OnMessageNew != nil:
		return with(ctx, d, h.OnMessageNew)
	case e.Type == event.MessageUpdated && h.OnMessageUpdated != nil:
		return with(ctx, d, h.OnMessageUpdated)
	case isResult(e.Type) && h.OnActionResult != nil:
		return with(ctx, d, h.OnActionResult)
	case h.OnEvent != nil:
		return h.OnEvent(ctx, d)
	}
	return nil
}

// isResult reports whether this version knows the type as one that tells what
// became of an action. A newer one is OnEvent's, as all that is not known.
func isResult(t event.Type) bool {
	switch t {
	case event.ActionSent, event.ActionConfirmed, event.ActionFailed, event.ActionExpired:
		return true
	}
	return false
}

// with decodes the event for its handler. Data that does not decode will not
// do so the next time: the event is rejected.
func with[T any](ctx context.Context, d *Delivery, fn func(context.Context, *Delivery, T) error) error {
	v, err := d.Event.Decode()
	if err != nil {
		return Reject(err)
	}
	t, ok := v.(T)
	if !ok {
		return Reject(fmt.Errorf("event %s of type %q decodes to %T", d.Event.ID, d.Event.Type, v))
	}
	return fn(ctx, d, t)
}
