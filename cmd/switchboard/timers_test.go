package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// TestTimersSurviveAKill has a host, with its line and its bus, killed while a
// plugin has a timer in hand, another is set, and a third is done.
func TestTimersSurviveAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	killed := exec.Command("timers", dir)
	killed.Stderr = t.Output()
	out, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = killed.Process.Kill() })
	said := bufio.NewScanner(out)
	if !said.Scan() || said.Text() != "in hand" {
		t.Errorf("it said %q", said.Text())
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // killed

	b := openTimers(t.Context(), dir)
	defer b.Close(context.Background())
	deliveries := make(chan *pluginv1.Delivery, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runTimers(ctx, b, &timerPlugin{deliver: func(d *pluginv1.Delivery) bool { deliveries <- d; return true }})
	}()
	var keys []string
	for range 2 {
		select {
		case d := <-deliveries:
			keys = append(keys, d.GetTimer().GetKey()+"="+string(d.GetTimer().GetData()))
			if early := time.Until(d.GetTimer().GetAt().AsTime()); early > 0 {
				t.Errorf("timer %s came %s too early", d.GetTimer().GetKey(), early)
			}
		case <-time.After(patience):
			t.Fatalf("only %q came", keys)
		}
	}
	if !slices.Equal(keys, []string{"in hand=2", "later=3"}) {
		t.Errorf("came %q", keys)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	left, err := b.Timers(t.Context(), "tester")
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// keepTimers is what is killed.
func keepTimers() {
	now, ctx := time.Now(), context.Background()
	b, inHand := openTimers(ctx, os.Args[1]), make(chan struct{})
	go func() {
		<-inHand
		for left := 3; left > 2; {
			list, err := b.Timers(ctx, "tester")
			if err != nil {
				panic(err)
			}
			left = len(list)
		}
		fmt.Println("in hand")
	}()
	err := runTimers(ctx, b, &timerPlugin{
		set: []*pluginv1.Schedule{
			{Key: "done", At: timestamppb.New(now), Data: []byte("1")},
			{Key: "in hand", At: timestamppb.New(now.Add(time.Second)), Data: []byte("2")},
			{Key: "later", At: timestamppb.New(now.Add(3 * time.Second)), Data: []byte("3")},
		},
		deliver: func(d *pluginv1.Delivery) bool {
			if d.GetTimer().GetKey() == "in hand" {
				close(inHand)
			}
			return d.GetTimer().GetKey() == "done"
		},
	})
	fmt.Println(err)
}

func openTimers(ctx context.Context, dir string) *bus.Bus {
	b, err := bus.Open(ctx, bus.Options{
		DataDir: dir, Prefix: "test", MaxAge: time.Hour, MaxBytes: 64 << 20, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}
	return b
}

// runTimers runs a plugin over a line to the bus.
func runTimers(ctx context.Context, b *bus.Bus, p *timerPlugin) error {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pluginv1.RegisterPluginServer(server, p)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	spec := host.Spec{Name: "tester", Accounts: []string{"7"}, Events: []event.Pattern{"*"}}
	return host.Run(ctx, pluginv1.NewPluginClient(conn), spec, host.Options{
		Parts: host.Parts{Feeds: feeds{b}, Store: store{b}, Timers: timers{b}}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, &host.Stats{})
}

// timerPlugin sets timers, and acknowledges what deliver says is done.
type timerPlugin struct {
	pluginv1.UnimplementedPluginServer
	set     []*pluginv1.Schedule
	deliver func(*pluginv1.Delivery) (done bool)
}

func (p *timerPlugin) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	return &pluginv1.Manifest{Name: "tester", Events: []string{"*"}}, nil
}

func (p *timerPlugin) Configure(context.Context, *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return &pluginv1.ConfigureResponse{Feeds: []*pluginv1.Feed{{Name: "default", Events: []string{"*"}}}}, nil
}

func (p *timerPlugin) Connect(s grpc.BidiStreamingServer[pluginv1.FromHost, pluginv1.FromPlugin]) error {
	for i, set := range p.set {
		if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{
			Request: &pluginv1.Request{Id: uint64(i), Request: &pluginv1.Request_Schedule{Schedule: set}},
		}}); err != nil {
			return err
		}
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return nil
		}
		if ping := m.GetPing(); ping != nil {
			if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: &pluginv1.Pong{Number: ping.GetNumber()}}}); err != nil {
				return err
			}
		}
		for _, d := range m.GetDeliveries().GetDeliveries() {
			if !p.deliver(d) {
				continue
			}
			out := &pluginv1.Outcome{Delivery: d.GetId(), Result: &pluginv1.Outcome_Ack{Ack: &pluginv1.Ack{}}}
			if err := s.Send(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Outcomes{
				Outcomes: &pluginv1.Outcomes{Outcomes: []*pluginv1.Outcome{out}},
			}}); err != nil {
				return err
			}
		}
	}
}
