package sdk

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// RetryAfter makes err mean: deliver the event again after d. The later events
// of its conversation wait for it; other conversations do not.
func RetryAfter(d time.Duration, err error) error { return &verdict{retry, d, err} }

// Pause makes err mean: deliver the event again after d, and nothing else of
// this feed before then. It is for a receiver that is down.
func Pause(d time.Duration, err error) error { return &verdict{pause, d, err} }

// Reject makes err mean: never deliver the event again. It becomes a dead
// letter with err as its reason.
func Reject(err error) error { return &verdict{reject, 0, err} }

type decision int

const (
	retry decision = iota
	pause
	reject
)

// verdict is an error with what to do about it.
type verdict struct {
	decision decision
	after    time.Duration
	err      error
}

func (v *verdict) Error() string {
	if v.err == nil {
		return "no reason was given"
	}
	return v.err.Error()
}
func (v *verdict) Unwrap() error { return v.err }

// outcome is the handler's error as it goes to the host.
func outcome(delivery uint64, err error) *pluginv1.Outcome {
	out := &pluginv1.Outcome{Delivery: delivery}
	var v *verdict
	switch {
	case err == nil:
		out.Result = &pluginv1.Outcome_Ack{Ack: &pluginv1.Ack{}}
	case !errors.As(err, &v):
		out.Result = &pluginv1.Outcome_Retry{Retry: &pluginv1.Retry{Reason: reason(err)}}
	case v.decision == retry:
		out.Result = &pluginv1.Outcome_Retry{Retry: &pluginv1.Retry{After: durationpb.New(v.after), Reason: reason(err)}}
	case v.decision == pause:
		out.Result = &pluginv1.Outcome_Pause{Pause: &pluginv1.Pause{Hold: durationpb.New(v.after), Reason: reason(err)}}
	default:
		out.Result = &pluginv1.Outcome_Reject{Reject: &pluginv1.Reject{Reason: reason(err)}}
	}
	return out
}

// maxReason is how much of an error goes to the host, in bytes.
const maxReason = 4 << 10

// reason is the error's text. It may hold anything, a page of a broken server
// for one; what gRPC cannot carry would break the line for all.
func reason(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxReason)], "\uFFFD")
}

// What the host may answer to a request.
var (
	// ErrInvalid: the request is wrong; the same again cannot help.
	ErrInvalid = errors.New("invalid")
	// ErrNotGranted: the operator did not grant it.
	ErrNotGranted = errors.New("not granted")
	// ErrNotFound: there is nothing under the key.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: not now; try again later.
	ErrUnavailable = errors.New("unavailable")
	// ErrLimit: it is too much: actions, what is stored, or turns of bots that
	// answer each other.
	ErrLimit = errors.New("limit reached")
)

func answerError(e *pluginv1.Error) error {
	kind := ErrUnavailable
	switch e.GetCode() {
	case pluginv1.Error_CODE_INVALID:
		kind = ErrInvalid
	case pluginv1.Error_CODE_NOT_GRANTED:
		kind = ErrNotGranted
	case pluginv1.Error_CODE_NOT_FOUND:
		kind = ErrNotFound
	case pluginv1.Error_CODE_LIMIT:
		kind = ErrLimit
	}
	return fmt.Errorf("%w: %s", kind, e.GetMessage())
}
