package conformance_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/switchboard-dev/switchboard/plugins/host/conformance"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// flawed is the sound plugin with something wrong; what is nil is sound.
type flawed struct {
	pluginv1.PluginServer
	describe  func(*pluginv1.Manifest) error
	configure func(times int, req *pluginv1.ConfigureRequest, n next) (*pluginv1.ConfigureResponse, error)
	connect   func(pluginv1.Plugin_ConnectServer, error) error
	// receive sees what comes, and its error ends the line; errSwallow keeps it
	// from the plugin. send sees what goes; false: it does not.
	receive func(*pluginv1.FromHost) error
	send    func(s pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool

	times, hasty atomic.Int32
}

type next func() (*pluginv1.ConfigureResponse, error)

func (f *flawed) Describe(ctx context.Context, req *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	m, err := f.PluginServer.Describe(ctx, req)
	if err == nil && f.describe != nil {
		err = f.describe(m)
	}
	return m, err
}

func (f *flawed) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	n := func() (*pluginv1.ConfigureResponse, error) { return f.PluginServer.Configure(ctx, req) }
	if f.configure != nil {
		return f.configure(int(f.times.Add(1)), req, n)
	}
	return n()
}

func (f *flawed) Connect(s pluginv1.Plugin_ConnectServer) error {
	err := f.PluginServer.Connect(&flawedStream{s, f})
	if f.connect != nil {
		return f.connect(s, err)
	}
	return err
}

type flawedStream struct {
	pluginv1.Plugin_ConnectServer
	f *flawed
}

func (s *flawedStream) Recv() (*pluginv1.FromHost, error) {
	for {
		m, err := s.Plugin_ConnectServer.Recv()
		if err != nil || s.f.receive == nil {
			return m, err
		}
		if err = s.f.receive(m); !errors.Is(err, errSwallow) {
			return m, err
		}
	}
}

func (s *flawedStream) Send(m *pluginv1.FromPlugin) error {
	if s.f.send != nil && !s.f.send(s.Plugin_ConnectServer, m) {
		return nil
	}
	return s.Plugin_ConnectServer.Send(m)
}

// inMemory starts a plugin over memory, with the gRPC server's options.
func inMemory(plugin func() pluginv1.PluginServer, opts ...grpc.ServerOption) conformance.Options {
	return conformance.Options{Start: func(context.Context) (pluginv1.PluginClient, func(), error) {
		l := bufconn.Listen(1 << 20)
		server := grpc.NewServer(opts...)
		pluginv1.RegisterPluginServer(server, plugin())
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		return pluginv1.NewPluginClient(conn), func() { conn.Close(); server.Stop(); <-served }, err
	}}
}

var roomy = grpc.MaxRecvMsgSize(pluginv1.MaxMessage)

func TestASoundPluginPasses(t *testing.T) {
	failed, notes := run(t, inMemory(server, roomy))
	if len(failed) > 0 || len(notes) > 0 {
		t.Errorf("failed %v, notes %v", failed, notes)
	}
}

func TestAPluginWithNothingToDoIsToldSo(t *testing.T) {
	o := inMemory(server, roomy)
	o.Events = []event.Event{{ID: "1", Type: "typing.start", Account: "7", Conversation: "1", Data: []byte(`{}`)}}
	if failed, notes := run(t, o); len(failed) > 0 || len(notes) < 3 {
		t.Errorf("failed %v, notes %v", failed, notes)
	}
}

// outcomes reports whether the message has outcomes.
func outcomes(m *pluginv1.FromPlugin) bool { return len(m.GetOutcomes().GetOutcomes()) > 0 }

// errSwallow keeps a message from the plugin.
var errSwallow = errors.New("swallowed")

func TestFlawsOnTheLine(t *testing.T) {
	manifest := func(change func(*pluginv1.Manifest)) func(*flawed) {
		return func(f *flawed) {
			f.describe = func(m *pluginv1.Manifest) error { change(m); return nil }
		}
	}
	tests := []struct {
		check, says string
		flaw        func(*flawed)
	}{
		{"start", "Describe", func(f *flawed) { f.describe = func(*pluginv1.Manifest) error { return errors.New("no") } }},
		{"manifest", `name "Shouting!" is not`, manifest(func(m *pluginv1.Manifest) { m.Name = "Shouting!" })},
		{"manifest", "version is empty", manifest(func(m *pluginv1.Manifest) { m.Version = "" })},
		{"manifest", "it asks for none", manifest(func(m *pluginv1.Manifest) { m.Events = nil })},
		{"manifest", `"mesage.new" selects nothing`, manifest(func(m *pluginv1.Manifest) { m.Events = append(m.Events, "mesage.new") })},
		{"manifest", `"shout" is none of`, manifest(func(m *pluginv1.Manifest) { m.Actions = append(m.Actions, "shout") })},
		{"manifest", "has no 1", manifest(func(m *pluginv1.Manifest) { m.Protocols = []uint32{9} })},
		{"manifest", "schema", manifest(func(m *pluginv1.Manifest) { m.ConfigSchema = []byte(`{"type":"onject"}`) })},
		{"config", `feed default wants "*"`, manifest(func(m *pluginv1.Manifest) { m.Events = []string{"message.*"} })},
		{"config", "declares 0 feeds", func(f *flawed) {
			f.configure = func(int, *pluginv1.ConfigureRequest, next) (*pluginv1.ConfigureResponse, error) {
				return &pluginv1.ConfigureResponse{}, nil
			}
		}},
		{"unknown-key", "an operator's typo", func(f *flawed) {
			f.describe = func(m *pluginv1.Manifest) error { m.ConfigSchema = []byte(`{"type":"object"}`); return nil }
			f.configure = func(_ int, req *pluginv1.ConfigureRequest, n next) (*pluginv1.ConfigureResponse, error) {
				req.Config = nil
				return n()
			}
		}},
		{"no-config", "the line stood", func(f *flawed) {
			f.connect = func(s pluginv1.Plugin_ConnectServer, err error) error { <-s.Context().Done(); return err }
		}},
		{"configure-twice", "other feeds", func(f *flawed) {
			f.configure = func(times int, _ *pluginv1.ConfigureRequest, n next) (*pluginv1.ConfigureResponse, error) {
				if times > 1 {
					return &pluginv1.ConfigureResponse{Feeds: []*pluginv1.Feed{{Name: "other", Events: []string{"*"}}}}, nil
				}
				return n()
			}
		}},
		{"outcomes", "2 outcomes of one delivery", func(f *flawed) {
			f.send = func(s pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool {
				return !outcomes(m) || s.Send(m) == nil
			}
		}},
		{"outcomes", "deliveries that never were", func(f *flawed) {
			f.send = func(s pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool {
				return !outcomes(m) || s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Outcomes{Outcomes: &pluginv1.Outcomes{
					Outcomes: []*pluginv1.Outcome{{Delivery: 1 << 40, Result: &pluginv1.Outcome_Ack{}}},
				}}}) == nil
			}
		}},
		{"outcomes", "neither ack nor", func(f *flawed) {
			f.send = func(_ pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool {
				for _, out := range m.GetOutcomes().GetOutcomes() {
					out.Result = nil
				}
				return true
			}
		}},
		{"bad-data", "the line broke", func(f *flawed) {
			f.receive = func(m *pluginv1.FromHost) error {
				for _, d := range m.GetDeliveries().GetDeliveries() {
					if string(d.GetEvent().GetData()) == "null" {
						return errors.New("TypeError: null")
					}
				}
				return nil
			}
		}},
		{"large", "larger than max", func(*flawed) {}},
		{"timer", "have no outcome, such as timer", func(f *flawed) {
			f.configure = hastily
			f.send = func(_ pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool { return !outcomes(m) }
		}},
		{"ping", "with 64 deliveries under way", func(f *flawed) {
			f.send = func(_ pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool {
				return m.GetPong() == nil || m.GetPong().GetNumber() < 2
			}
		}},
		{"drain", "the line still stands", func(f *flawed) {
			f.receive = func(m *pluginv1.FromHost) error {
				if m.GetDrain() != nil {
					return errSwallow
				}
				return nil
			}
		}},
		{"drain", "not end in good order", func(f *flawed) {
			f.connect = func(_ pluginv1.Plugin_ConnectServer, err error) error {
				if err == nil {
					return errors.New("sulking")
				}
				return err
			}
		}},
		{"drain", "left without an outcome", func(f *flawed) {
			f.receive = func(m *pluginv1.FromHost) error {
				if m.GetDrain() != nil {
					f.hasty.Store(1)
				}
				return nil
			}
			f.send = func(_ pluginv1.Plugin_ConnectServer, m *pluginv1.FromPlugin) bool {
				return !outcomes(m) || f.hasty.Load() == 0
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.check+" "+tt.says, func(t *testing.T) {
			t.Parallel()
			room := roomy
			if tt.check == "large" {
				room = grpc.MaxRecvMsgSize(4 << 20)
			}
			o := inMemory(func() pluginv1.PluginServer {
				f := &flawed{PluginServer: server()}
				tt.flaw(f)
				return f
			}, room)
			o.Bound = 2 * time.Second
			o.Only = func(name string) bool { return name == tt.check }
			failed, _ := run(t, o)
			expect(t, failed, tt.check, tt.says)
		})
	}
}

// hastily has the suite wait for outcomes a short time only.
func hastily(_ int, _ *pluginv1.ConfigureRequest, n next) (*pluginv1.ConfigureResponse, error) {
	res, err := n()
	for _, f := range res.GetFeeds() {
		f.Timeout = durationpb.New(time.Millisecond)
	}
	return res, err
}
