package webhook

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// answered is the outcome of a request that had an answer.
func (e *endpoint) answered(res *http.Response) error {
	code := res.StatusCode
	if code >= 200 && code <= 299 {
		return nil
	}
	reason := "answered " + strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code)))
	if said := e.excerpt(res.Body); said != "" {
		reason += fmt.Sprintf(": %q", said)
	}
	switch {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly,
		code == http.StatusTooManyRequests, code >= 500:
		err := e.errorf("%s", reason)
		if after := retryAfter(res.Header.Get("Retry-After"), time.Now()); after > 0 {
			return sdk.RetryAfter(jitter(after), err)
		}
		return err
	case code == http.StatusGone:
		reason += "; the endpoint is gone: take it out of the configuration"
	case code >= 300 && code <= 399:
		reason += "; redirects are not followed: configure the URL that it leads to"
	}
	return sdk.Reject(e.errorf("%s", reason))
}

// How much of an answer is read, and how much of that is shown.
const (
	maxRead  = 8 << 10
	maxShown = 200
)

// excerpt is the beginning of what an endpoint said, without secrets.
func (e *endpoint) excerpt(body io.Reader) string {
	data, err := io.ReadAll(io.LimitReader(body, maxRead))
	if err != nil && len(data) == 0 {
		return ""
	}
	text := []rune(strings.Join(strings.Fields(secret.Scrub(string(data), e.secrets...)), " "))
	if len(text) > maxShown {
		return string(text[:maxShown]) + "…"
	}
	return string(text)
}

// maxWait bounds what an endpoint may ask for: the longest wait of the
// standard's schedule.
const maxWait = 24 * time.Hour

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or
// a date. 0: it says nothing that could be followed.
func retryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(header, 10, 64)
	switch {
	case err == nil:
		return time.Duration(min(max(seconds, 0), int64(maxWait/time.Second))) * time.Second
	case errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(header, "-"):
		return maxWait
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxWait)
}

// jitter makes a wait up to a tenth longer, so that what was put off together
// does not come back together.
func jitter(d time.Duration) time.Duration { return min(d+rand.N(d/10+1), maxWait) }
