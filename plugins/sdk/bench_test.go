package sdk_test

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// What the plugin's side costs, of the whole way: a host that does nothing but
// keep 256 deliveries of 350 B inside, over a Unix socket, in batches of 64.
func BenchmarkDeliveries(b *testing.B) {
	p := plugin(nil)
	p.Configure = sdk.Handle[struct{}](sdk.Handlers{OnEvent: func(context.Context, *sdk.Delivery) error { return nil }})
	l, err := net.Listen("unix", b.TempDir()+"/s")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	pluginv1.RegisterPluginServer(server, p.Server(slog.New(slog.DiscardHandler)))
	go server.Serve(l)
	defer server.Stop()
	conn, err := grpc.NewClient("unix://"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client := pluginv1.NewPluginClient(conn)
	if _, err := client.Configure(b.Context(), &pluginv1.ConfigureRequest{Config: []byte("{}")}); err != nil {
		b.Fatal(err)
	}
	stream, err := client.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 350)
	room := make(chan struct{}, 256)
	go func() {
		for sent := 0; sent < b.N; {
			var list []*pluginv1.Delivery
			for len(list) < 64 && sent < b.N {
				select {
				case room <- struct{}{}:
				default:
					if len(list) == 0 {
						room <- struct{}{}
						break
					}
					goto send
				}
				sent++
				list = append(list, &pluginv1.Delivery{
					Id: uint64(sent), Feed: "default", Attempt: 1, Key: "k",
					What: &pluginv1.Delivery_Event{Event: &pluginv1.Event{
						Id: "event-" + strconv.Itoa(sent), Type: "message.new", Source: "https://backend/accounts/7", Account: "7",
						Conversation: strconv.Itoa(sent % 1000), Data: data,
						TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
					}},
				})
			}
		send:
			stream.Send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Deliveries{Deliveries: &pluginv1.Deliveries{Deliveries: list}}})
		}
	}()
	b.ResetTimer()
	for done := 0; done < b.N; {
		m, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		for range m.GetOutcomes().GetOutcomes() {
			<-room
			done++
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
