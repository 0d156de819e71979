package account

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"syscall"
)

// mend says what an operator can do about an error of dialling; empty: nothing
// that we know of.
func mend(err error) string {
	var (
		unknownHost *net.DNSError
		noTLS       tls.RecordHeaderError
		unknownCA   x509.UnknownAuthorityError
		otherName   x509.HostnameError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ": is the backend running there, and are the host and port of ws_url right?"
	case errors.As(err, &unknownHost):
		return ": mend the host in ws_url"
	case errors.As(err, &noTLS), errors.Is(err, http.ErrSchemeMismatch):
		return ": the backend speaks no TLS there: write ws:// in ws_url, or its TLS port"
	case errors.As(err, &unknownCA):
		return ": add the authority that signed the backend's certificate to this machine's (or name its file in SSL_CERT_FILE)"
	case errors.As(err, &otherName):
		return ": write the name that the backend's certificate is for into ws_url"
	}
	return ""
}
