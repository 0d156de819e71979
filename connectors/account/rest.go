package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

const (
	// requestTimeout bounds one request to the REST API with its answer.
	requestTimeout = 30 * time.Second
	// maxAnswer is the largest answer that is read, in bytes.
	maxAnswer = 64 << 20
	// shown is how much of an answer that is an error is told, in bytes.
	shown = 200
)

// Conversations is [connectors.Reader]. The backend answers with a page object,
// or with a bare array that has all there are.
func (c *Connector) Conversations(ctx context.Context, q connectors.Query) (connectors.Page, error) {
	query := url.Values{"ordering": {"-last_activity_at"}}
	if q.Page != "" {
		var err error
		if query, err = url.ParseQuery(q.Page); err != nil {
			return connectors.Page{}, connectors.Permanent(fmt.Errorf("read page %q: %w", q.Page, err))
		}
	}
	if !q.ActiveAfter.IsZero() {
		query.Set("last_activity_after", q.ActiveAfter.UTC().Format(time.RFC3339Nano))
	}
	body, date, err := c.get(ctx, "", query)
	if err != nil {
		return connectors.Page{}, fmt.Errorf("list conversations: %w", err)
	}
	page := connectors.Page{Date: date}
	items := body
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		var object struct {
			Next    string          `json:"next"`
			Results json.RawMessage `json:"results"`
		}
		if err := json.Unmarshal(body, &object); err != nil {
			return page, fmt.Errorf("list conversations: read the answer: %w", err)
		}
		if object.Results == nil {
			return page, errors.New(`list conversations: the answer is no array and has no "results"`)
		}
		items = object.Results
		if object.Next != "" {
			// Only what it asks for counts, and not the host that it names: the
			// token goes to none but the configured one.
			next, err := url.Parse(object.Next)
			if err != nil {
				return page, fmt.Errorf("list conversations: read the address of the next page: %w", err)
			}
			page.Next = next.RawQuery
		}
	}
	if page.Conversations, err = frames(event.ConversationUpdated, items); err != nil {
		return page, fmt.Errorf("list conversations: %w", err)
	}
	return page, nil
}

// Conversation is [connectors.Reader].
func (c *Connector) Conversation(ctx context.Context, id string) (connectors.Detail, error) {
	body, date, err := c.get(ctx, url.PathEscape(id)+"/", nil)
	if err != nil {
		return connectors.Detail{}, fmt.Errorf("read conversation %s: %w", id, err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return connectors.Detail{}, fmt.Errorf("read conversation %s: read the answer: %w", id, err)
	}
	messages := object["messages"]
	if messages == nil {
		return connectors.Detail{}, fmt.Errorf("read conversation %s: the answer has no \"messages\"", id)
	}
	detail := connectors.Detail{Date: date}
	if detail.Messages, err = frames(event.MessageNew, messages); err != nil {
		return detail, fmt.Errorf("read conversation %s: %w", id, err)
	}
	// Without them it is what the list and the socket have.
	delete(object, "messages")
	alone, err := json.Marshal(object)
	if err == nil {
		detail.Conversation, err = frame(event.ConversationUpdated, alone, time.Now())
	}
	if err != nil {
		return detail, fmt.Errorf("read conversation %s: %w", id, err)
	}
	return detail, nil
}

// frames reads each value of an array as the data of a frame.
func frames(t event.Type, array []byte) ([]connectors.Frame, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(array), []byte("[")) {
		return nil, errors.New("read the answer: no array where one should be")
	}
	var items []json.RawMessage
	if err := json.Unmarshal(array, &items); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	received := time.Now()
	list := make([]connectors.Frame, 0, len(items))
	for _, item := range items {
		f, err := frame(t, item, received)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// frame reads a value as the data of a frame.
func frame(t event.Type, data []byte, received time.Time) (connectors.Frame, error) {
	f := connectors.Frame{Type: t, Raw: data, Received: received}
	var d fields
	var err error
	if f.Data, err = scanData(jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true)), data, &d); err != nil {
		return f, fmt.Errorf("read the answer: %w", err)
	}
	if f.Data == nil {
		return f, errors.New("read the answer: something in it is no object")
	}
	if err := d.route(&f); err != nil {
		return f, fmt.Errorf("read the answer: %w", err)
	}
	return f, nil
}

// get asks for what is under the path of the account's conversations.
func (c *Connector) get(ctx context.Context, path string, query url.Values) (body []byte, date time.Time, err error) {
	token, err := c.o.Token()
	if err != nil {
		return nil, date, connectors.Refused(fmt.Errorf("read the token of account %s: %w", c.o.Account, err))
	}
	where := strings.TrimRight(c.o.APIURL, "/") + "/api/v1/accounts/" + url.PathEscape(c.o.Account) + "/conversations/" + path
	if len(query) > 0 {
		where += "?" + query.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, date, connectors.Permanent(err)
	}
	req.Header.Set("Authorization", c.o.AuthScheme+" "+token.Reveal())
	req.Header.Set("Accept", "application/json")
	res, err := c.o.HTTPClient.Do(req)
	if err != nil {
		return nil, date, &scrubbed{err, token}
	}
	defer func() { _ = res.Body.Close() }() // it was read, or is of no use
	if body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1)); err != nil {
		return nil, date, &scrubbed{fmt.Errorf("read the answer: %w", err), token}
	}
	if len(body) > maxAnswer {
		return nil, date, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	if date, err = http.ParseTime(res.Header.Get("Date")); err != nil {
		date = time.Time{}
	}
	return body, date, answered(res, said(body, token), where)
}

// said is the beginning of an answer, for an error. A backend in debug mode may
// show the request with its token.
func said(body []byte, token secret.Text) string {
	text := secret.Scrub(string(body[:min(len(body), shown+len(token))]), token)
	return strings.ToValidUTF8(text[:min(len(text), shown)], "")
}

// answered is what the status of an answer means.
func answered(res *http.Response, said, where string) error {
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return connectors.Refused(fmt.Errorf("the REST API refused the token (HTTP %d at %s)", code, where))
	case code == http.StatusNotFound:
		return fmt.Errorf("%w (HTTP 404 at %s)", connectors.ErrNotFound, where)
	case code == http.StatusTooManyRequests, code >= 500:
		return &connectors.Busy{
			After: retryAfter(res.Header.Get("Retry-After"), time.Now()),
			Err:   fmt.Errorf("the REST API answered HTTP %d at %s: %s", code, where, said),
		}
	default:
		return fmt.Errorf("the REST API answered HTTP %d at %s: %s", code, where, said)
	}
}

// retryAfter reads the header of that name, seconds or a date (RFC 9110, section
// 10.2.3); zero: it says nothing.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
