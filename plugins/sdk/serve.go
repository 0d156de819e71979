package sdk

import (
	"log/slog"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Serve runs the plugin until the host ends it. Call it from main and do
// nothing after it. Started by hand, it says that it is a plugin and exits 1.
//
// stdout belongs to the handshake: write to [Host.Log], or to stderr.
func Serve[C any](p Plugin[C]) {
	log := slog.New(newLogHandler(os.Stderr))
	impl := &server[C]{plugin: p, log: log, ended: func() {
		// The line is the plugin's only purpose. The host's Shutdown usually
		// comes first; where it was killed, nobody else will end us.
		time.AfterFunc(shutdownGrace, func() { os.Exit(0) })
	}}
	go exitWithParent(os.Getppid())
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: pluginv1.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{
			pluginv1.Version: {pluginv1.Name: &pluginv1.Adapter{Impl: impl}},
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.MaxRecvMsgSize(pluginv1.MaxMessage), grpc.MaxSendMsgSize(pluginv1.MaxMessage))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Error, JSONFormat: true}),
	})
}

// shutdownGrace is how long the host has for its Shutdown call.
const shutdownGrace = 2 * time.Second

// exitWithParent ends the process when its host has died before there was a
// line that could break. Where the system can kill us with our parent it does
// so at once; this is for the others.
func exitWithParent(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

// declare is the feed as the host hears of it.
func (f *Feed) declare() *pluginv1.Feed {
	out := &pluginv1.Feed{
		Name: f.Name, Events: f.Events, OwnEchoes: f.OwnEchoes, Filter: f.Filter, FilterPath: f.FilterPath,
		Window: uint32(max(0, f.Window)), Rate: f.Rate, Unordered: f.Unordered,
	}
	for _, d := range f.Retries {
		out.Retries = append(out.Retries, durationpb.New(d))
	}
	if f.Timeout > 0 {
		out.Timeout = durationpb.New(f.Timeout)
	}
	return out
}
