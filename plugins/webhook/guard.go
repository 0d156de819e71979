package webhook

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// guard refuses connections to addresses that are not public, so that a URL
// cannot reach into the operator's own network (server-side request forgery).
// It looks at the address that is dialled, which a name cannot change anymore.
type guard struct{ allowed []netip.Prefix }

// special are the networks that are not on the public Internet, or that lead
// to such by translation: the special-purpose registries of IANA (RFC 6890),
// multicast and what is reserved.
var special = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // shared by carriers
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local: metadata of clouds
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
	"::/96",           // unspecified, loopback, IPv4-compatible
	"::ffff:0:0:0/96", // IPv4-translated
	"64:ff9b::/96",    // NAT64
	"64:ff9b:1::/48",  // NAT64, local
	"100::/64",        // discard
	"2001::/23",       // protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
	"5f00::/16",       // segment routing
	"fc00::/7",        // private
	"fe80::/10",       // link-local
	"fec0::/10",       // site-local
	"ff00::/8",        // multicast
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// control is for [net.Dialer.Control]: it sees each address after DNS and
// before the connection.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read address to dial: %w", err)
	}
	return g.check(at.Addr())
}

func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if within(addr, g.allowed) || !within(addr, special) {
		return nil
	}
	return &refusedError{addr}
}

func within(addr netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// refusedError is an address that the guard does not let through. Trying again
// cannot help.
type refusedError struct{ addr netip.Addr }

func (e *refusedError) Error() string {
	return fmt.Sprintf("address %s is not public; if the endpoint is meant to be there, add %s or its network to allow_networks",
		e.addr, netip.PrefixFrom(e.addr, e.addr.BitLen()))
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.Prefix{}, fmt.Errorf("%q is an address: write the network %s", text, netip.PrefixFrom(addr, addr.BitLen()))
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: write it as in 10.1.0.0/16 or fd00::/8", text)
	}
	if network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("write IPv4 networks as such, without %s", strings.SplitAfter(text, "ffff:")[0])
	}
	return network.Masked(), nil
}
