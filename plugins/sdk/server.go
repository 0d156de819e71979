package sdk

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"

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

	mu    sync.Mutex
	host  *Host
	feeds map[string]*Feed
}

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
		Events: s.plugin.Events, ConfigSchema: schema,
	}
	for _, a := range s.plugin.Actions {
		m.Actions = append(m.Actions, string(a))
	}
	return m, nil
}

func (s *server[C]) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	config := s.plugin.Defaults
	if err := decodeConfig(req.GetConfig(), &config); err != nil {
		return &pluginv1.ConfigureResponse{Problems: problems(err)}, nil
	}
	host := &Host{Name: req.GetName(), Accounts: req.GetAccounts(), Log: s.log}
	feeds, err := s.plugin.Configure(ctx, host, config)
	if err != nil {
		return &pluginv1.ConfigureResponse{Problems: problems(err)}, nil
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.host, s.feeds = host, map[string]*Feed{}
	res := &pluginv1.ConfigureResponse{}
	for _, f := range feeds {
		if f.Name == "" {
			f.Name = "default"
		}
		if len(f.Events) == 0 {
			f.Events = s.plugin.Events
		}
		s.feeds[f.Name] = &f
		res.Feeds = append(res.Feeds, f.declare())
	}
	return res, nil
}

// Connect serves the line. One goroutine writes, this one reads, and each
// delivery has one of its own: the host bounds how many there are.
func (s *server[C]) Connect(stream pluginv1.Plugin_ConnectServer) error {
	s.mu.Lock()
	host, feeds := s.host, s.feeds
	s.mu.Unlock()
	if host == nil {
		return status.Error(codes.FailedPrecondition, "Connect before Configure")
	}
	defer s.ended()

	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	requests := make(chan *pluginv1.FromPlugin)
	outcomes := make(chan *pluginv1.Outcome, maxBatch)
	pongs := make(chan *pluginv1.Pong, 1)
	if err := host.connect(requests, ctx.Done()); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}

	typing := make(chan event.Event, maxTyping)
	go s.live(ctx, feeds, typing)
	var working sync.WaitGroup
	received := make(chan error, 1)
	go func() {
		err := s.receive(ctx, stream, host, feeds, outcomes, typing, pongs, &working)
		if err == nil { // drained: let what is in hand come to its end
			working.Wait()
		}
		received <- err
	}()
	for {
		select {
		case out := <-outcomes:
			if err := stream.Send(batch(out, outcomes)); err != nil {
				return err
			}
		case pong := <-pongs:
			if err := stream.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: pong}}); err != nil {
				return err
			}
		case req := <-requests:
			if err := stream.Send(req); err != nil {
				return err
			}
		case err := <-received:
			if err != nil {
				return err
			}
			for { // the last outcomes
				select {
				case out := <-outcomes:
					if err := stream.Send(batch(out, outcomes)); err != nil {
						return err
					}
				default:
					return nil
				}
			}
		}
	}
}

// receive reads until the host drains (nil) or the line breaks.
func (s *server[C]) receive(ctx context.Context, stream pluginv1.Plugin_ConnectServer, host *Host,
	feeds map[string]*Feed, outcomes chan<- *pluginv1.Outcome, typing chan<- event.Event, pongs chan<- *pluginv1.Pong, working *sync.WaitGroup) error {
	draining := false
	for {
		msg, err := stream.Recv()
		if err == io.EOF && draining {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the line to the host broke: %w", err)
		}
		switch m := msg.GetMessage().(type) {
		case *pluginv1.FromHost_Deliveries:
			for _, d := range m.Deliveries.GetDeliveries() {
				working.Go(func() {
					out := outcome(d.GetId(), s.deliver(ctx, host, feeds[d.GetFeed()], d))
					select {
					case outcomes <- out:
					case <-ctx.Done():
					}
				})
			}
		case *pluginv1.FromHost_Live:
			select {
			case typing <- m.Live.GetEvent().ToEvent():
			default: // too slow for it, and worth nothing later
			}
		case *pluginv1.FromHost_Ping:
			select {
			case pongs <- &pluginv1.Pong{Number: m.Ping.GetNumber()}:
			default: // the one before is not yet written: it will do
			}
		case *pluginv1.FromHost_Answer:
			host.answered(m.Answer)
		case *pluginv1.FromHost_Drain:
			// Answers to open requests still come: read on until the host has
			// nothing more to say, which is when its side of the line ends.
			draining = true
		}
	}
}

func (s *server[C]) deliver(ctx context.Context, host *Host, feed *Feed, in *pluginv1.Delivery) (err error) {
	if feed == nil {
		return Reject(fmt.Errorf("no feed %q was declared", in.GetFeed()))
	}
	e := in.GetEvent().ToEvent()
	d := &Delivery{
		Event: e, Feed: in.GetFeed(), Attempt: int(in.GetAttempt()), host: host,
		Log: s.log.With("event", e.ID, "type", string(e.Type), "conversation", e.Conversation),
	}
	if trace := e.TraceID(); trace != "" {
		d.Log = d.Log.With("trace_id", trace)
	}
	defer s.recovered(d.Log, &err)
	return feed.Handlers.handle(ctx, d)
}

// maxTyping is how many typing events may wait for a slow handler.
const maxTyping = 64

// live hands typing events on, one after the other, beside all else: a handler
// that takes its time or asks the host something must not keep the line from
// being read.
func (s *server[C]) live(ctx context.Context, feeds map[string]*Feed, typing <-chan event.Event) {
	for {
		select {
		case e := <-typing:
			s.typing(ctx, feeds, e)
		case <-ctx.Done():
			return
		}
	}
}

func (s *server[C]) typing(ctx context.Context, feeds map[string]*Feed, e event.Event) {
	for _, f := range feeds {
		if f.Handlers.OnTyping == nil {
			continue
		}
		if v, err := e.Decode(); err == nil {
			var failed error
			func() {
				defer s.recovered(s.log, &failed)
				f.Handlers.OnTyping(ctx, e, v.(event.Typing))
			}()
		}
	}
}

// recovered turns a panic of a handler into an error: one event that a plugin
// stumbles over must not take the others with it.
func (s *server[C]) recovered(log *slog.Logger, err *error) {
	if p := recover(); p != nil {
		log.Error("handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		*err = fmt.Errorf("handler panicked: %v", p)
	}
}

// maxBatch bounds how many outcomes go in one message.
const maxBatch = 64

// batch takes what is ready beside the first; it waits for nothing.
func batch(first *pluginv1.Outcome, more <-chan *pluginv1.Outcome) *pluginv1.FromPlugin {
	list := []*pluginv1.Outcome{first}
	for len(list) < maxBatch {
		select {
		case out := <-more:
			list = append(list, out)
			continue
		default:
		}
		break
	}
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Outcomes{Outcomes: &pluginv1.Outcomes{Outcomes: list}}}
}
