package webhook

import (
	"net/netip"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	tests := []struct {
		name, addr string
		allowed    []string
		refused    bool
	}{
		{"lets a public IPv4 address through", "93.184.216.34", nil, false},
		{"lets a public IPv6 address through", "2606:2800:220:1:248:1893:25c8:1946", nil, false},
		{"refuses this network", "0.0.0.0", nil, true},
		{"refuses loopback", "127.0.0.1", nil, true},
		{"refuses all of loopback", "127.8.9.10", nil, true},
		{"refuses IPv6 loopback", "::1", nil, true},
		{"refuses the unspecified IPv6 address", "::", nil, true},
		{"refuses private 10/8", "10.1.2.3", nil, true},
		{"refuses private 172.16/12", "172.31.255.255", nil, true},
		{"lets what follows 172.16/12 through", "172.32.0.1", nil, false},
		{"refuses private 192.168/16", "192.168.1.1", nil, true},
		{"refuses carriers' shared space", "100.64.0.1", nil, true},
		{"refuses the clouds' metadata", "169.254.169.254", nil, true},
		{"refuses multicast", "224.0.0.1", nil, true},
		{"refuses broadcast", "255.255.255.255", nil, true},
		{"refuses documentation", "203.0.113.9", nil, true},
		{"refuses unique local IPv6", "fd00:ec2::254", nil, true},
		{"refuses link-local IPv6", "fe80::1", nil, true},
		{"refuses link-local IPv6 with a zone", "fe80::1%eth0", nil, true},
		{"refuses multicast IPv6", "ff02::1", nil, true},
		{"unwraps v4-mapped private", "::ffff:10.0.0.1", nil, true},
		{"unwraps v4-mapped loopback", "::ffff:127.0.0.1", nil, true},
		{"unwraps v4-mapped public", "::ffff:93.184.216.34", nil, false},
		{"refuses v4-compatible", "::127.0.0.1", nil, true},
		{"refuses v4-translated", "::ffff:0:10.0.0.1", nil, true},
		{"refuses NAT64", "64:ff9b::10.0.0.1", nil, true},
		{"refuses 6to4", "2002:0a00:0001::1", nil, true},
		{"refuses Teredo", "2001:0:1::1", nil, true},

		{"opens what is allowed", "10.1.2.3", []string{"10.1.0.0/16"}, false},
		{"opens no more than what is allowed", "10.2.0.1", []string{"10.1.0.0/16"}, true},
		{"opens a v4-mapped address by its IPv4 network", "::ffff:10.1.2.3", []string{"10.1.0.0/16"}, false},
		{"opens IPv6 loopback apart from IPv4's", "127.0.0.1", []string{"::1/128"}, true},
		{"takes a network with host bits", "10.1.2.3", []string{"10.1.9.9/16"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g guard
			for _, text := range tt.allowed {
				network, err := parseNetwork(text)
				if err != nil {
					t.Fatal(err)
				}
				g.allowed = append(g.allowed, network)
			}
			err := g.check(netip.MustParseAddr(tt.addr))
			if (err != nil) != tt.refused {
				t.Errorf("check = %v, want refused: %t", err, tt.refused)
			}
			if err != nil && !strings.Contains(err.Error(), "allow_networks") {
				t.Errorf("%q does not say how to allow it", err)
			}
		})
	}
}
