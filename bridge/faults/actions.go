package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/switchboard-dev/switchboard/proto/event"
)

const (
	// answerTimeout is how long a client waits before it asks again.
	answerTimeout = 2 * time.Second
	retryPause    = 100 * time.Millisecond
	// busy is how many of the conversations get half of the actions, so that
	// some have many to keep in order.
	busy = 5
)

// action is one that the sender has sent, or tries to.
type action struct {
	key          string
	conversation int64
	kind         event.ActionType
	// doubt has the sender ask for the one before it once more.
	doubt bool
	// place is where it stands among the actions of its conversation, in the
	// order in which they were accepted.
	place    int
	accepted bool
	refused  string // why it never will be
}

// sender sends actions as a careful client does. One goroutine calls step.
type sender struct {
	conn          *nats.Conn
	random        *rand.Rand
	conversations []int64
	lanes         []chan *action
	statuses      []event.Status // what was asked for last, by conversation

	mu      sync.Mutex
	actions []*action
}

func newSender(conn *nats.Conn, random *rand.Rand, conversations []int64, most int) *sender {
	s := &sender{conn: conn, random: random, conversations: conversations, statuses: make([]event.Status, len(conversations))}
	for range conversations {
		s.lanes = append(s.lanes, make(chan *action, most))
	}
	return s
}

// step decides on one more action.
func (s *sender) step() error {
	i := s.random.IntN(len(s.conversations))
	if s.random.IntN(2) == 0 {
		i = s.random.IntN(min(busy, len(s.conversations)))
	}
	kind := event.SendMessage
	switch what := s.random.IntN(100); {
	case what < 20 && ours(i):
		kind = event.UpdateStatus
	case what < 30:
		kind = event.MarkAsRead
	}
	s.mu.Lock()
	a := &action{
		key: fmt.Sprintf("k%05d", len(s.actions)), conversation: s.conversations[i], kind: kind,
		doubt: s.random.IntN(5) == 0,
	}
	s.actions = append(s.actions, a)
	s.mu.Unlock()
	s.lanes[i] <- a
	return nil
}

// end says that no step follows.
func (s *sender) end() {
	for _, lane := range s.lanes {
		close(lane)
	}
}

// Run sends until everything is accepted after end, or ctx ends.
func (s *sender) Run(ctx context.Context) {
	var lanes sync.WaitGroup
	for i, lane := range s.lanes {
		lanes.Go(func() {
			var before *nats.Msg
			place := 0
			for a := range lane {
				if before != nil && a.doubt {
					// It was answered, but who was restarted since may not know:
					// the key must be good for the same answer, and no more.
					s.insist(ctx, before, func(refusal string) { a.refused = refusal })
				}
				before = s.message(i, a)
				s.insist(ctx, before, func(refusal string) {
					a.accepted, a.place = refusal == "" && a.refused == "", place
					a.refused += refusal
				})
				place++
			}
		})
	}
	lanes.Wait()
}

func (s *sender) message(i int, a *action) *nats.Msg {
	m := nats.NewMsg(fmt.Sprintf("%s.action.%s.%d.%s", prefix, account, a.conversation, a.kind))
	m.Header.Set(nats.MsgIdHdr, a.key)
	m.Data = s.body(i, a)
	return m
}

// insist asks until there is an answer that lasts, or ctx ends.
func (s *sender) insist(ctx context.Context, m *nats.Msg, answered func(refusal string)) {
	for ctx.Err() == nil {
		if refusal, again := s.ask(ctx, m); !again {
			s.mu.Lock()
			defer s.mu.Unlock()
			answered(refusal)
			return
		}
		_ = pass(ctx, retryPause) // ctx is looked at above
	}
}

func (s *sender) body(i int, a *action) []byte {
	switch a.kind {
	case event.SendMessage:
		return fmt.Appendf(nil, `{"content":"Answer %s"}`, a.key)
	case event.UpdateStatus: // another one than before: that it was done can be seen
		s.statuses[i] = (s.statuses[i] + 1) % 4
		return fmt.Appendf(nil, `{"status":%d}`, s.statuses[i])
	}
	return nil
}

// ask asks once. again: it is not known, or not possible now.
func (s *sender) ask(ctx context.Context, m *nats.Msg) (refusal string, again bool) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	reply, err := s.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return "", true
	}
	var answer struct {
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return fmt.Sprintf("answer %q: %v", reply.Data, err), false
	}
	switch e := answer.Error; {
	case e == nil:
		return "", false
	case e.Code == http.StatusServiceUnavailable, e.Code == http.StatusTooManyRequests:
		return "", true
	default:
		return e.Description, false
	}
}

// sent are copies of all actions, so far.
func (s *sender) sent() []action {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]action, len(s.actions))
	for i, a := range s.actions {
		list[i] = *a
	}
	return list
}
