// Package account is the connector for backends that speak the account
// protocol: Django Channels' AccountConsumer and its REST API.
//
// One WebSocket per session, one JSON object {"type", "data"} per text frame.
// The token goes in the handshake's query, as the protocol has it, and nowhere
// else: every error is scrubbed of it.
package account

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

const (
	// dialTimeout bounds the handshake.
	dialTimeout = 10 * time.Second
	// maxFrame is the largest frame that is read, in bytes; the library's
	// default of 32 KiB would cut the connection at a long message.
	maxFrame = 4 << 20
	// writeTimeout bounds the writing of one action.
	writeTimeout = 10 * time.Second
)

// Options say which account of which backend.
type Options struct {
	// Account is the account's id.
	Account string
	// WSURL is the backend's, such as ws://localhost:8000.
	WSURL string
	// APIURL is that of the REST API, such as http://localhost:8000.
	APIURL string
	// AuthScheme is the word before the token there; empty: Token.
	AuthScheme string
	// Token is called for each session and each request, so that a rotated token is found.
	Token func() (secret.Text, error)
	// MessageType is that of own messages where an action names none.
	MessageType event.MessageType
	// HTTPClient makes the handshakes and the requests; nil: http.DefaultClient.
	HTTPClient *http.Client
}

// Connector dials one account. It is safe for concurrent use.
type Connector struct{ o Options }

var _ connectors.Connector = (*Connector)(nil)

// New returns the connector of an account. It dials nothing.
func New(o Options) *Connector {
	if o.AuthScheme == "" {
		o.AuthScheme = "Token"
	}
	if o.HTTPClient == nil {
		o.HTTPClient = http.DefaultClient
	}
	return &Connector{o}
}

// Source is [connectors.Connector]: the backend's host and the account.
func (c *Connector) Source() string {
	host := ""
	if u, err := url.Parse(c.o.WSURL); err == nil {
		host = u.Host
	}
	return "//" + host + "/accounts/" + url.PathEscape(c.o.Account)
}

// Dial is [connectors.Connector].
func (c *Connector) Dial(ctx context.Context) (connectors.Session, error) {
	token, err := c.o.Token()
	if err != nil {
		return nil, connectors.Refused(fmt.Errorf("read the token of account %s: %w", c.o.Account, err))
	}
	where := strings.TrimRight(c.o.WSURL, "/") + "/ws/accounts/" + url.PathEscape(c.o.Account) + "/"
	scrub := func(err error) error { return &scrubbed{err, token} }

	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	s := &session{messageType: c.o.MessageType, scrub: scrub}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { s.line = got.Conn },
	})
	conn, res, err := websocket.Dial(ctx, where+"?token="+url.QueryEscape(token.Reveal()),
		&websocket.DialOptions{HTTPClient: c.o.HTTPClient, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		switch {
		case res != nil && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized):
			return nil, connectors.Refused(fmt.Errorf(
				"the backend refused the token of account %s (HTTP %d at %s): set accounts.%s.token to one that it accepts for an account of that id",
				c.o.Account, res.StatusCode, where, c.o.Account))
		case res != nil && res.StatusCode != http.StatusSwitchingProtocols:
			return nil, fmt.Errorf("dial %s: the backend answered HTTP %d and not with a WebSocket: is ws_url right?", where, res.StatusCode)
		}
		if request := (*url.Error)(nil); errors.As(err, &request) {
			err = request.Err // it shows the whole URL, with the token
		}
		return nil, scrub(fmt.Errorf("dial %s: %w%s", where, err, mend(err)))
	}
	conn.SetReadLimit(maxFrame)
	s.conn = conn
	return s, nil
}

// scrubbed is an error of others that may have the token in its text: dial
// errors show the whole URL.
type scrubbed struct {
	err   error
	token secret.Text
}

func (s *scrubbed) Error() string {
	return secret.Scrub(secret.Scrub(s.err.Error(), s.token), secret.Text(url.QueryEscape(s.token.Reveal())))
}

func (s *scrubbed) Unwrap() error { return s.err }

// session is one WebSocket.
type session struct {
	conn *websocket.Conn
	// line is what conn runs over; nil where the HTTP client does not tell.
	line        net.Conn
	messageType event.MessageType
	scrub       func(error) error
	pings       atomic.Uint64
	// over is the error of a session that has ended. Receive's goroutine alone
	// touches it.
	over error
}

// Receive is [connectors.Session].
func (s *session) Receive(ctx context.Context) (connectors.Frame, error) {
	if s.over != nil {
		return connectors.Frame{}, s.over
	}
	kind, raw, err := s.conn.Read(ctx)
	now := time.Now()
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		// The library has closed the connection: there is no reading past it.
		s.over = fmt.Errorf("a frame was larger than %d MiB", maxFrame>>20)
		return connectors.Frame{Kind: connectors.Unreadable, Fault: s.over, Received: now}, nil
	case err != nil:
		s.over = s.closed(err)
		_ = s.conn.CloseNow() // not every error has closed it; nobody reads on
		return connectors.Frame{}, s.over
	case kind != websocket.MessageText:
		return connectors.Frame{Kind: connectors.Unreadable, Raw: raw, Received: now,
			Fault: errors.New("a binary frame; the account protocol has text frames")}, nil
	}
	f := parse(raw)
	f.Received = now
	return f, nil
}

// closed says what the end of the connection means. Channels closes with an
// application code when it refuses a token after the handshake.
func (s *session) closed(err error) error {
	switch code := websocket.CloseStatus(err); code {
	case 4001, 4003, 4401, 4403:
		return connectors.Refused(fmt.Errorf("the backend refused the token (close code %d)", code))
	case -1:
		return s.scrub(fmt.Errorf("read: %w", err))
	default:
		return fmt.Errorf("the backend closed the connection (%d %s)", int(code), code)
	}
}

// Send is [connectors.Session].
func (s *session) Send(ctx context.Context, a event.Action, ref string) error {
	frame, err := encode(a, ref, s.messageType)
	if err != nil {
		return connectors.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, frame); err != nil {
		return s.scrub(fmt.Errorf("write %s: %w", a.Type, err))
	}
	return nil
}

// Ping is [connectors.Session]. It waits for the WebSocket's own pong, which
// every server answers; every second call also writes the protocol's ping,
// which keeps the backend from thinking that nobody is there, and which some
// backends answer with nothing.
func (s *session) Ping(ctx context.Context) error {
	if s.pings.Add(1)%2 == 1 {
		if err := s.conn.Write(ctx, websocket.MessageText, ping); err != nil {
			return s.scrub(fmt.Errorf("write ping: %w", err))
		}
	}
	if err := s.conn.Ping(ctx); err != nil {
		return s.scrub(fmt.Errorf("ping: %w", err))
	}
	return nil
}

// closeTimeout bounds the closing handshake.
const closeTimeout = time.Second

// Close is [connectors.Session]. The library gives a peer that does not answer
// five seconds and cannot be hurried, so the line under it gets a deadline.
func (s *session) Close() error {
	if s.line != nil {
		// It fails where the line is closed, which is as good.
		_ = s.line.SetDeadline(time.Now().Add(closeTimeout))
	}
	// Its error says that the peer did not take part, which is its right.
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
	return nil
}
