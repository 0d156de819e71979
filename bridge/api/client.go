package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ErrNotRunning says that no bridge serves the socket.
var ErrNotRunning = errors.New("no bridge is running there")

// Client calls a running bridge. It is safe for concurrent use.
type Client struct {
	http *http.Client
	path string
}

// Dial returns a client of the bridge that serves the Unix socket at path. It
// connects with the first call.
func Dial(path string) *Client {
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Status decodes what the bridge says of itself into v.
func (c *Client) Status(ctx context.Context, v any) error {
	return c.call(ctx, http.MethodGet, "/v1/status", nil, v)
}

// Act sends an action; wait is how long to wait for its end, zero: not at all.
func (c *Client) Act(ctx context.Context, a event.Action, wait time.Duration) (Acted, error) {
	path := "/v1/actions"
	if wait > 0 {
		path += "?wait=" + wait.String()
	}
	var done Acted
	err := c.call(ctx, http.MethodPost, path, a, &done)
	return done, err
}

// Link gives an account's link a command.
func (c *Client) Link(ctx context.Context, account, command string) error {
	return c.call(ctx, http.MethodPost, "/v1/links/"+url.PathEscape(account)+"/"+command, nil, nil)
}

// WatchSpec says which events to watch. Empty fields select all.
type WatchSpec struct {
	Account, Conversation string
	Types                 []string
	// Since is how far back to begin; zero: now.
	Since time.Time
}

// Watch calls fn for each event until ctx ends or fn fails.
func (c *Client) Watch(ctx context.Context, spec WatchSpec, fn func(Event) error) error {
	q := url.Values{"type": spec.Types}
	for name, value := range map[string]string{"account": spec.Account, "conversation": spec.Conversation} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if !spec.Since.IsZero() {
		q.Set("since", spec.Since.Format(time.RFC3339Nano))
	}
	res, err := c.send(ctx, http.MethodGet, "/v1/events?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(bufio.NewReader(res.Body))
	for {
		var e Event
		if err := dec.Decode(&e); err != nil {
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return errors.New("the bridge has ended")
			}
			return fmt.Errorf("read events: %w", err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the bridge's answer: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://switchboard"+path, content)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	res, err := c.http.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %s: start one with `switchboard run`, or name its configuration with --config (or its data_dir with SWITCHBOARD_DATA_DIR)",
			ErrNotRunning, c.path)
	case err != nil:
		return nil, fmt.Errorf("ask the bridge at %s: %w", c.path, errors.Unwrap(err))
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var failed struct {
		Error string `json:"error"`
	}
	if json.NewDecoder(res.Body).Decode(&failed) != nil || failed.Error == "" {
		return nil, fmt.Errorf("the bridge answered HTTP %d", res.StatusCode)
	}
	return nil, errors.New(failed.Error)
}
