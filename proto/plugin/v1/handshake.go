// Package pluginv1 is the protocol between the host and a plugin: what
// plugin.proto generates, and the handshake of hashicorp/go-plugin around it.
package pluginv1

//go:generate ../../../.ci/generate

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Version is the protocol's version, negotiated at each start.
const Version = 1

// Name is what the plugin dispenses.
const Name = "switchboard"

// MaxMessage bounds one gRPC message either way, in bytes.
const MaxMessage = 16 << 20

// Handshake tells a host of ours from a person who starts a plugin by hand. It
// is no secret and protects nothing.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  Version,
	MagicCookieKey:   "SWITCHBOARD_PLUGIN",
	MagicCookieValue: "c4b0f6a1-plugin",
}

// Adapter joins the generated service to go-plugin, at both ends.
type Adapter struct {
	plugin.NetRPCUnsupportedPlugin
	// Impl is the plugin's implementation; nil at the host's end.
	Impl PluginServer
}

var _ plugin.GRPCPlugin = (*Adapter)(nil)

// GRPCServer registers the implementation.
func (a *Adapter) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	RegisterPluginServer(s, a.Impl)
	return nil
}

// GRPCClient returns the host's client, a [PluginClient].
func (a *Adapter) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return NewPluginClient(c), nil
}

// DurationPattern is the pattern that a schema gives a text which is a
// duration: numbers with their units, as in 30s or 1h30m. The host knows it,
// and tells a user what to write instead of the pattern.
const DurationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
