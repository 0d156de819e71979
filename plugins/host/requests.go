package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// requestTimeout bounds what one request may wait for the rest of Switchboard.
const requestTimeout = 10 * time.Second

// requests carry out what the plugin of one line asks for, within what it was
// granted.
type requests struct {
	*line
	timers *timers
	// rate is that of its actions.
	rate *rate.Limiter
	// room has a token of each request that is worked on, waits and lookUps of
	// each that takes its time: those must not keep the others from their turn.
	room, waits, lookUps chan struct{}
}

func newRequests(l *line) *requests {
	perSecond := l.spec.ActionRate
	if perSecond <= 0 {
		perSecond = defaultActionRate
	}
	return &requests{
		line: l, timers: newTimers(l),
		rate: rate.NewLimiter(rate.Limit(perSecond), max(1, int(2*perSecond))),
		room: make(chan struct{}, l.limits.Requests), waits: make(chan struct{}, maxWaits), lookUps: make(chan struct{}, maxLookUps),
	}
}

// take works on a request beside what else there is to do. Where too many are
// worked on already it waits, and the plugin with it.
func (r *requests) take(ctx context.Context, req *pluginv1.Request, working *sync.WaitGroup) {
	room, answer, limited := r.room, r.answer, error(nil)
	switch req.GetRequest().(type) {
	case *pluginv1.Request_Wait:
		room, answer, limited = r.waits, r.wait, errTooManyWaits
	case *pluginv1.Request_LookUp:
		room, answer, limited = r.lookUps, r.lookUp, errTooManyLookUps
	}
	select {
	case room <- struct{}{}:
	default:
		if limited != nil {
			room, answer = r.room, func(context.Context, *pluginv1.Request) (*pluginv1.Answer, error) { return nil, limited }
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
	working.Go(func() {
		defer func() { <-room }()
		ans, err := answer(ctx, req)
		if err != nil {
			ans = &pluginv1.Answer{Answer: &pluginv1.Answer_Error{Error: answerError(err)}}
		}
		ans.Request = req.GetId()
		select {
		case r.answers <- ans:
		case <-ctx.Done():
		}
	})
}

// answer carries out a request that is done at once.
func (r *requests) answer(ctx context.Context, req *pluginv1.Request) (*pluginv1.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var err error
	switch q := req.GetRequest().(type) {
	case *pluginv1.Request_Act:
		return r.act(ctx, q.Act.ToAction())
	case *pluginv1.Request_Get:
		return r.get(ctx, q.Get)
	case *pluginv1.Request_List:
		return r.list(ctx, q.List)
	case *pluginv1.Request_Put:
		err = r.put(ctx, q.Put)
	case *pluginv1.Request_Delete:
		err = r.delete(ctx, q.Delete)
	case *pluginv1.Request_Schedule:
		err = r.schedule(ctx, q.Schedule)
	case *pluginv1.Request_Unschedule:
		err = r.unschedule(ctx, q.Unschedule)
	default:
		err = fmt.Errorf("%w: a request that this host does not know", errInvalid)
	}
	return &pluginv1.Answer{Answer: &pluginv1.Answer_Done{Done: &pluginv1.Done{}}}, err
}

var (
	errInvalid    = errors.New("invalid request")
	errNotGranted = errors.New("not granted")
)

// maxReason bounds what an answer says of an error, in bytes.
const maxReason = 4 << 10

func answerError(err error) *pluginv1.Error {
	code := pluginv1.Error_CODE_UNAVAILABLE
	switch {
	case errors.Is(err, event.ErrInvalidAction), errors.Is(err, errInvalid):
		code = pluginv1.Error_CODE_INVALID
	case errors.Is(err, errNotGranted):
		code = pluginv1.Error_CODE_NOT_GRANTED
	case errors.Is(err, ErrNotFound):
		code = pluginv1.Error_CODE_NOT_FOUND
	case errors.Is(err, ErrFull), errors.Is(err, ErrLimit):
		code = pluginv1.Error_CODE_LIMIT
	}
	text := err.Error()
	// What gRPC cannot carry would end the line.
	return &pluginv1.Error{Code: code, Message: strings.ToValidUTF8(text[:min(len(text), maxReason)], "\uFFFD")}
}
