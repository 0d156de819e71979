package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// parseHandshake reads
//
//	1|1|unix|/path/to/socket|grpc|<base64 of the server's certificate>
func parseHandshake(line, dir string) (*x509.Certificate, string, error) {
	line = strings.TrimSpace(line)
	fields := strings.Split(line, "|")
	if len(fields) < 6 {
		return nil, "", fmt.Errorf("the first line on its stdout is no handshake of six fields: %.120q", line)
	}
	core, version, network, address, transport := fields[0], fields[1], fields[2], fields[3], fields[4]
	switch {
	case core != "1":
		return nil, "", fmt.Errorf("the handshake begins with %.20q, not with 1, the version of go-plugin's protocol", core)
	case version != fmt.Sprint(pluginv1.Version):
		return nil, "", fmt.Errorf("it speaks version %.20q of the protocol, though PLUGIN_PROTOCOL_VERSIONS was %d", version, pluginv1.Version)
	case network != "unix" || filepath.Dir(filepath.Clean(address)) != dir:
		return nil, "", fmt.Errorf("it listens on %.20s %.120q, and not on a Unix socket in PLUGIN_UNIX_SOCKET_DIR", network, address)
	case transport != "grpc":
		return nil, "", fmt.Errorf("it serves %.20q, and not grpc", transport)
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(fields[5], "="))
	if err != nil {
		return nil, "", fmt.Errorf("the sixth field of the handshake is no certificate in base64: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, "", fmt.Errorf("the sixth field of the handshake is no certificate (DER): %w", err)
	}
	if strings.HasSuffix(fields[5], "=") {
		return nil, "", fmt.Errorf("the certificate in the handshake has padding (=), with which the host cannot read it")
	}
	return certificate, address, nil
}

// clientCertificate makes a certificate for one start, in PEM, and the client's
// side of the TLS for it; the server's is to be added to the roots.
func clientCertificate() ([]byte, *tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost", Organization: []string{"Switchboard"}},
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      x509.NewCertPool(), ServerName: "localhost", MinVersion: tls.VersionTLS12,
	}, nil
}

func dial(socket string, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}),
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(pluginv1.MaxMessage), grpc.MaxCallSendMsgSize(pluginv1.MaxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to the plugin: %w", err)
	}
	return conn, nil
}
