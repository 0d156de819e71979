package process

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func certificate() string {
	_, key, _ := ed25519.GenerateKey(nil)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return base64.RawStdEncoding.EncodeToString(der)
}

func TestGreeting(t *testing.T) {
	g := newGreeting(testPlugins, "/run/sb/abcde")
	cert := certificate()
	tests := []struct {
		name, line, says string // says: "" is accepted
	}{
		{name: "a server's", line: "1|2|unix|/run/sb/abcde/plugin1|grpc|" + cert + "\n"},
		{name: "with multiplexing's field", line: "1|1|unix|/run/sb/abcde/plugin1|grpc|" + cert + "|true\n"},
		{name: "other core version", line: "2|1|unix|/run/sb/abcde/plugin1|grpc|" + cert, says: `go-plugin's handshake`},
		{name: "other protocol version", line: "1|3|unix|/run/sb/abcde/plugin1|grpc|" + cert, says: `protocol version "3"`},
		{name: "no protocol version", line: "1|x|unix|/run/sb/abcde/plugin1|grpc|" + cert, says: `protocol version "x"`},
		{name: "net/rpc", line: "1|1|unix|/run/sb/abcde/plugin1|netrpc|", says: `serves "netrpc"`},
		{name: "net/rpc of old", line: "1|1|unix|/run/sb/abcde/plugin1", says: `serves ""`},
		{name: "another host's socket", line: "1|1|unix|/run/sb/abcde/../fghij/plugin1|grpc|" + cert, says: "outside of the directory"},
		{name: "TCP", line: "1|1|tcp|example.com:80|grpc|" + cert, says: `listens on tcp "example.com:80"`},
		{name: "no certificate", line: "1|1|unix|/run/sb/abcde/plugin1|grpc|", says: "does not use mutual TLS"},
		{name: "no certificate in its field", line: "1|1|unix|/run/sb/abcde/plugin1|grpc|" + strings.Repeat("x", 64), says: "does not use mutual TLS"},
		{name: "something else", line: "Traceback (most recent call last):\n", says: `printed "Traceback`},
		{name: "an empty line", line: "\n", says: `printed ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := g.check(tt.line)
			switch {
			case tt.says == "" && err != nil:
				t.Error(err)
			case tt.says != "" && (!errors.Is(err, ErrHandshake) || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzGreeting(f *testing.F) {
	g := newGreeting(testPlugins, "/run/sb/abcde")
	cert := certificate()
	f.Add([]byte("1|1|unix|/run/sb/abcde/plugin1|grpc|" + cert + "\n"))
	f.Add([]byte("1|1|tcp|localhost:1|netrpc|"))
	f.Add([]byte("|||||||"))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, err := g.check(string(line))
		if err == nil && !bytes.Contains(line, []byte("|/run/sb/abcde")) {
			t.Errorf("accepted %q", line)
		}
		if err != nil && len(startError("x", err).Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
