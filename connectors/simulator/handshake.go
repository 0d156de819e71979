package simulator

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// handshake opens a socket and serves it until it is over. Like Channels it
// refuses a wrong token with a 403 that has no body.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request) {
	a, known := s.accounts[r.PathValue("account")]
	if !known {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	entrance := a.entrance()
	switch {
	case entrance.status != 0:
		a.refused(r.Context(), "fault")
		w.WriteHeader(entrance.status)
		return
	case !a.opens(r.URL.Query().Get("token")):
		a.refused(r.Context(), "token")
		w.WriteHeader(http.StatusForbidden)
		return
	}

	sock := newSocket(s.ctx, a)
	defer sock.end(nil)
	conn, err := websocket.Accept(hijacker{w, sock.line}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the token is in the URL, so a foreign page has nothing to ride on
		OnPingReceived:     sock.pinged,
	})
	if err != nil {
		a.refused(r.Context(), "no WebSocket handshake") // Accept has answered
		return
	}
	sock.conn = conn
	if entrance.code != 0 {
		a.refused(r.Context(), "fault")
		stop := context.AfterFunc(s.ctx, func() { _ = conn.CloseNow() })
		defer stop()
		_ = conn.Close(entrance.code, "")
		return
	}
	if !a.join(sock) {
		_ = conn.CloseNow()
		return
	}
	sock.serve()
}

// opens reports whether token is the account's.
func (a *account) opens(token string) bool {
	return a.token != "" && subtle.ConstantTimeCompare([]byte(a.token), []byte(token)) == 1
}

// authorized reports whether the request has the account's token in its
// Authorization header, with either scheme.
func (a *account) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return (scheme == "Token" || scheme == "Bearer") && a.opens(token)
}
