package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// endpoint is one receiver. It is safe for concurrent use.
type endpoint struct {
	name    string
	url     *url.URL
	events  []string
	signer  *signer
	header  http.Header
	timeout time.Duration
	client  *http.Client
	secrets []secret.Text // not to be in an error
}

// Headers beside those of the standard.
const (
	headerAccount  = "Switchboard-Account"
	headerReplayed = "Switchboard-Replayed"
)

// deliver is one attempt.
func (e *endpoint) deliver(ctx context.Context, d *sdk.Delivery) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("no answer within %s", e.timeout))
	defer cancel()
	req, err := e.request(ctx, d.Event, d.Key(), time.Now())
	if err != nil {
		return sdk.Reject(err)
	}
	res, err := e.client.Do(req)
	if err != nil {
		return e.unanswered(ctx, err)
	}
	defer res.Body.Close()
	return e.answered(res)
}

func (e *endpoint) request(ctx context.Context, ev event.Event, key string, at time.Time) (*http.Request, error) {
	body, err := envelope(ev)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request for event %s: %w", ev.ID, err)
	}
	req.Header.Set("User-Agent", "Switchboard/"+version)
	for name, values := range e.header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerAccount, ev.Account)
	if ev.Replayed {
		req.Header.Set(headerReplayed, "true")
	}
	return req, e.signer.sign(req.Header, key, at, body)
}

// unanswered is the outcome of a request that had no answer.
func (e *endpoint) unanswered(ctx context.Context, err error) error {
	var refused *refusedError
	if errors.As(err, &refused) {
		return sdk.Reject(e.errorf("%w", refused))
	}
	if ctx.Err() != nil {
		return e.errorf("%w", context.Cause(ctx))
	}
	var sent *url.Error // its text has the whole URL
	if errors.As(err, &sent) {
		err = sent.Err
	}
	return e.errorf("%s", secret.Scrub(err.Error(), e.secrets...))
}

// errorf names the endpoint in an error as far as it may be shown.
func (e *endpoint) errorf(format string, args ...any) error {
	return fmt.Errorf("post to %s://%s: %w", e.url.Scheme, e.url.Host, fmt.Errorf(format, args...))
}

// newClient makes the client of all endpoints: guarded, without redirects and
// without proxies.
func newClient(g guard) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: g.control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
