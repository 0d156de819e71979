package conformance_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// serveByHand is a plugin that is served without go-plugin, by what plugin.proto
// says alone, as in any other language; with a flaw, or with "none".
func serveByHand(flaw string) {
	switch {
	case os.Getenv("SWITCHBOARD_PLUGIN") == "c4b0f6a1-plugin":
	case flaw == "by-hand":
		select {}
	case flaw == "by-hand silent":
		os.Exit(1)
	case flaw == "by-hand content":
		fmt.Println("this is a plugin")
		return
	default:
		fmt.Fprintln(os.Stderr, "this is a plugin: the bridge starts it")
		os.Exit(1)
	}
	switch flaw {
	case "start":
		fmt.Fprintln(os.Stderr, "a library is missing")
		os.Exit(1)
	case "start junk":
		fmt.Println("Hello, I am a plugin")
	case "start mute":
		select {}
	}
	listener, err := net.Listen("unix", filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "plugin"))
	check(err)
	certificate, conf := serverTLS(flaw)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)), grpc.MaxRecvMsgSize(pluginv1.MaxMessage))
	pluginv1.RegisterPluginServer(server, &processFlawed{&flawed{PluginServer: plugin(flaw)}, flaw})
	serving := health.NewServer()
	if flaw != "health" {
		serving.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	}
	grpc_health_v1.RegisterHealthServer(server, serving)
	server.RegisterService(&controller, flaw)
	switch flaw {
	case "start version":
		fmt.Printf("1|9|unix|%s|grpc|%s\n", listener.Addr(), certificate)
	case "start certificate":
		fmt.Printf("1|1|unix|%s|grpc\n", listener.Addr())
	case "start socket":
		fmt.Printf("1|1|unix|/tmp/elsewhere/plugin|grpc|%s\n", certificate)
	default:
		fmt.Printf("1|1|unix|%s|grpc|%s\n", listener.Addr(), certificate)
	}
	check(server.Serve(listener))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func plugin(flaw string) pluginv1.PluginServer {
	p := sound(hello)
	if flaw == "stdout" {
		p = sound(func(context.Context, *delivery) error { fmt.Println("debug: got here"); return nil })
	}
	return p.Server(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

// processFlawed has what goes wrong in a process.
type processFlawed struct {
	*flawed
	flaw string
}

func (p *processFlawed) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if p.flaw == "reach-out" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		time.AfterFunc(time.Minute, func() { l.Close() })
	}
	return p.flawed.Configure(ctx, req)
}

func (p *processFlawed) Connect(s pluginv1.Plugin_ConnectServer) error {
	err := p.flawed.Connect(s)
	if p.flaw != "host-gone" && s.Context().Err() != nil {
		os.Exit(0) // the host is gone
	}
	return err
}

// controller is plugin.GRPCController: its one call has no fields.
var controller = grpc.ServiceDesc{
	ServiceName: "plugin.GRPCController", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Shutdown", Handler: func(flaw any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(&emptypb.Empty{}); err != nil {
			return nil, err
		}
		switch flaw {
		case "shutdown":
			return &emptypb.Empty{}, nil
		case "shutdown child":
			check(exec.Command("/bin/sleep", "60").Start())
		}
		time.AfterFunc(10*time.Millisecond, func() { os.Exit(0) })
		return &emptypb.Empty{}, nil
	}}},
}

// serverTLS makes a certificate and returns it as the handshake has it.
func serverTLS(flaw string) (string, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(os.Getenv("PLUGIN_CLIENT_CERT")))
	conf := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12,
	}
	if flaw == "tls" {
		conf.ClientAuth = tls.NoClientCert
	}
	return base64.RawStdEncoding.EncodeToString(der), conf
}
