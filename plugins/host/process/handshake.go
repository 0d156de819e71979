package process

import (
	"crypto/x509"
	"encoding/base64"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin"
)

// maxHandshake bounds the plugin's first line, in bytes; its certificate is
// most of it.
const maxHandshake = 16 << 10

// greeting judges a plugin's first line before go-plugin acts on it.
type greeting struct {
	versions []int
	dir      string
}

func newGreeting(plugins map[int]plugin.PluginSet, dir string) greeting {
	return greeting{versions: slices.Sorted(maps.Keys(plugins)), dir: dir}
}

// check returns the socket of a handshake, as go-plugin's servers write it
//
//	core version | protocol version | network | address | transport | certificate
//
// that this host can accept; else an error that wraps ErrHandshake.
func (g greeting) check(line string) (socket string, err error) {
	line = strings.TrimSpace(line)
	fields := strings.Split(line, "|")
	if len(fields) < 4 {
		return "", refuse("a plugin must print nothing on stdout before it serves",
			"printed %.80q on stdout instead of a handshake", line)
	}
	fields = append(fields, "", "") // older servers leave the last two out
	core, version, network, address, transport, cert := fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]

	const rebuild = "rebuild it with a go-plugin of this host's"
	switch v, err := strconv.Atoi(version); {
	case core != strconv.Itoa(plugin.CoreProtocolVersion):
		return "", refuse(rebuild, "speaks version %.20q of go-plugin's handshake, this host speaks %d", core, plugin.CoreProtocolVersion)
	case err != nil || !slices.Contains(g.versions, v):
		return "", refuse("install a plugin and a host that have one in common",
			"speaks protocol version %.20q, this host speaks %v", version, g.versions)
	case transport != string(plugin.ProtocolGRPC):
		return "", refuse("serve with gRPC", "serves %.20q, this host speaks gRPC", transport)
	case network != "unix" || filepath.Dir(filepath.Clean(address)) != g.dir:
		return "", refuse("listen on a Unix socket in $"+plugin.EnvUnixSocketDir,
			"listens on %.20s %.120q, outside of the directory it was given", network, address)
	case !isCertificate(cert):
		return "", refuse("answer $PLUGIN_CLIENT_CERT with a certificate in the sixth field", "does not use mutual TLS")
	}
	return address, nil
}

func isCertificate(field string) bool {
	der, err := base64.RawStdEncoding.DecodeString(field)
	if err != nil {
		return false
	}
	_, err = x509.ParseCertificate(der)
	return err == nil
}

func refuse(hint, format string, args ...any) error {
	return problem(hint, "%w: it "+format, append([]any{ErrHandshake}, args...)...)
}
