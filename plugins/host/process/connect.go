package process

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Ping asks the plugin's health service whether it serves.
func (p *Process) Ping(ctx context.Context) error {
	answer, err := grpc_health_v1.NewHealthClient(p.grpc.Conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil {
		return fmt.Errorf("check its health: %w", err)
	}
	if s := answer.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("check its health: it says %s", s)
	}
	return nil
}

func (p *Process) dialOptions() []grpc.DialOption {
	n := p.opts.MaxMessage
	return []grpc.DialOption{
		grpc.WithContextDialer(p.child.dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(n), grpc.MaxCallSendMsgSize(n)),
		grpc.WithChainStreamInterceptor(withoutBroker),
	}
}

// withoutBroker keeps go-plugin's broker from running: nothing here needs it,
// and each message that a plugin sends over it costs the host a goroutine for
// five seconds.
func withoutBroker(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "the broker is not used")
	}
	return streamer(ctx, desc, cc, method, opts...)
}
