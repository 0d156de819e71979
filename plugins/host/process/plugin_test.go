package process

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
)

// The plugins of these tests are this binary, executed again with a role.
const roleVar = "PROCESS_TEST_ROLE"

// roleEnv makes this binary, executed again, play a role, and end at once even
// when it looks for races.
func roleEnv(role string) []string {
	return []string{roleVar + "=" + role, "GORACE=atexit_sleep_ms=0"}
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		play(role)
		return
	}
	goleak.VerifyTestMain(m)
}

var testHandshake = plugin.HandshakeConfig{MagicCookieKey: "PROCESS_TEST", MagicCookieValue: "yes"}

func play(role string) {
	switch role {
	case "healthy":
		serve(testHandshake, 1)
	case "other version":
		serve(testHandshake, 7)
	case "other cookie":
		serve(plugin.HandshakeConfig{MagicCookieKey: "PROCESS_TEST", MagicCookieValue: "no"}, 1)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		serve(testHandshake, 1)
		forever()
	case "family":
		forked = spawn(nil)
		serve(testHandshake, 1)
	case "escaped family":
		forked = spawn(&syscall.SysProcAttr{Setsid: true})
		serve(testHandshake, 1)
	case "deaf":
		greet(listen())
	case "deaf with an escaped child":
		l := listen()
		socket, _ := l.File()
		pid := spawn(&syscall.SysProcAttr{Setsid: true}, socket)
		os.WriteFile(os.Getenv("PIDFILE"), []byte(strconv.Itoa(pid)), 0o600)
		greet(l)
	case "silent":
		forever()
	case "junk":
		fmt.Println("Hello, I am a plugin!")
		forever()
	case "endless junk":
		for {
			fmt.Print(strings.Repeat("x", 4096))
		}
	case "exit":
		fmt.Fprintln(os.Stderr, "reading the licence")
		fmt.Fprintln(os.Stderr, `{"@level":"error","@message":"no licence","file":"/etc/licence"}`)
		os.Exit(3)
	case "panic":
		panic("out of cheese")
	case "host", "host of a family":
		host(map[string]string{"host": "healthy", "host of a family": "escaped family"}[role])
	default:
		panic("no role " + role)
	}
}

// forked is the pid of a forked child that holds our stderr.
var forked int

func spawn(attr *syscall.SysProcAttr, files ...*os.File) int {
	cmd := exec.Command(Self())
	cmd.Env = roleEnv("silent")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = attr
	cmd.ExtraFiles = files
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return outside(cmd.Process.Pid)
}

// outside is the id by which the host knows our one child, whose id is pid in
// the namespace that we may be in. /proc is the host's.
func outside(pid int) int {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return pid
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if rest[1] == self { // its parent
			pid, _ := strconv.Atoi(strings.Fields(string(stat))[0])
			return pid
		}
	}
	panic("the child is not found")
}

// forever is not select{}, which the runtime would call a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

// host starts a plugin, says its pid and its child's, and waits for being killed.
func host(plugin string) {
	p, err := Start(context.Background(), Options{
		Command:   Command{Name: "orphan", Path: Self(), Env: roleEnv(plugin), Dir: os.Getenv("DIR")},
		Handshake: testHandshake,
		Plugins:   testPlugins,
	})
	if err != nil {
		panic(err)
	}
	client, err := p.Dispense("test")
	if err != nil {
		panic(err)
	}
	child, err := client.(grpc_testing.TestServiceClient).UnaryCall(context.Background(),
		&grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: []byte("child")}})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.PID(), string(child.GetPayload().GetBody()))
	forever()
}

func listen() *net.UnixListener {
	l, err := net.Listen("unix", os.Getenv(plugin.EnvUnixSocketDir)+"/deaf")
	if err != nil {
		panic(err)
	}
	return l.(*net.UnixListener)
}

// greet says that it serves and accepts nothing.
func greet(l net.Listener) {
	fmt.Printf("1|1|unix|%s|grpc|%s\n", l.Addr(), certificate())
	forever()
}

func serve(handshake plugin.HandshakeConfig, version int) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: map[int]plugin.PluginSet{version: {"test": &adapter{}}},
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}

var testPlugins = map[int]plugin.PluginSet{1: {"test": &adapter{}}, 2: {"test": &adapter{}}}

// adapter serves grpc's own test service as a plugin.
type adapter struct{ plugin.NetRPCUnsupportedPlugin }

func (*adapter) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	grpc_testing.RegisterTestServiceServer(s, &service{})
	return nil
}

func (*adapter) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return grpc_testing.NewTestServiceClient(c), nil
}

type service struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (*service) UnaryCall(_ context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	word, rest, _ := strings.Cut(string(r.GetPayload().GetBody()), " ")
	var answer string
	switch word {
	case "environment":
		answer = strings.Join(os.Environ(), "\x00")
	case "pid":
		answer = strconv.Itoa(os.Getpid())
	case "stdin":
		answer, _ = os.Readlink("/proc/self/fd/0")
	case "child":
		answer = strconv.Itoa(forked)
	case "stderr":
		syscall.Write(2, []byte(rest))
	case "stdout":
		syscall.Write(1, []byte(rest))
	case "os":
		fmt.Println("stdout of " + rest)
		fmt.Fprint(os.Stderr, "stderr of "+rest) // no end of line
	case "log":
		log.Print(rest)
		slog.Info(rest)
	case "repeat":
		n, _ := strconv.Atoi(rest)
		answer = strings.Repeat("x", n)
	case "panic":
		go panic(rest)
		forever()
	}
	return &grpc_testing.SimpleResponse{Payload: &grpc_testing.Payload{Body: []byte(answer)}}, nil
}
