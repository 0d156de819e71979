package slack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// remembered is how many of the events posted last are kept with a thread.
const remembered = 32

// thread is what is kept about a conversation, for one rule.
type thread struct {
	// Rule, Account and Conversation say whose it is, for people who look into
	// the store: the key does not.
	Rule         string `json:"rule"`
	Account      string `json:"account"`
	Conversation string `json:"conversation,omitempty"`
	// For is the channel as it was configured. In another one, the
	// conversation gets another thread.
	For string `json:"for,omitempty"`
	threadRef
	// Contact is the customer's name, as far as an event told it.
	Contact string `json:"contact,omitempty"`
	// Seen are the conversation's fields as they were posted last.
	Seen map[string]string `json:"seen,omitempty"`
	// Posted are the ids of the events posted last.
	Posted []string `json:"posted"`
}

func (t *thread) has(id string) bool { return slices.Contains(t.Posted, id) }

// posted notes that an event is posted.
func (t *thread) posted(id string, at threadRef) {
	t.threadRef = at
	t.Posted = append(t.Posted, id)
	t.Posted = t.Posted[max(0, len(t.Posted)-remembered):]
}

// threads keeps a rule's threads in the host's store. It is safe for
// concurrent use by the handlers of different conversations; those of one
// conversation come one after the other.
type threads struct {
	host    *sdk.Host
	rule    string
	channel string

	mu sync.Mutex
	// unsaved are threads that Slack has and the store does not: it failed
	// after the post. The next attempt finds its event here, and posts nothing.
	unsaved map[string]*thread
}

func (s *threads) load(ctx context.Context, e event.Event) (*thread, error) {
	key := s.key(e.Account, e.Conversation)
	s.mu.Lock()
	t := s.unsaved[key]
	s.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t = &thread{}
	data, err := s.host.Get(ctx, key)
	switch {
	case errors.Is(err, sdk.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("load thread: %w", err)
	default:
		if err := json.Unmarshal(data, t); err != nil {
			s.host.Log.Warn("what is kept of a thread cannot be read; the conversation gets another one", "key", key, "error", err)
			t = &thread{}
		}
	}
	t.Rule, t.Account, t.Conversation = s.rule, e.Account, e.Conversation
	if t.For != s.channel {
		t.For, t.threadRef = s.channel, threadRef{}
	}
	return t, nil
}

func (s *threads) save(ctx context.Context, t *thread) error {
	key := s.key(t.Account, t.Conversation)
	data, err := json.Marshal(t)
	if err == nil {
		err = s.host.Put(ctx, key, data)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if s.unsaved == nil {
			s.unsaved = map[string]*thread{}
		}
		s.unsaved[key] = t
		return fmt.Errorf("the event is posted, but its thread could not be saved: %w", err)
	}
	delete(s.unsaved, key)
	return nil
}

// key is a hash: accounts and conversations may be longer than keys, and have
// characters that keys have not.
func (s *threads) key(account, conversation string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.rule, account, conversation}, "\x00")))
	return "thread." + hex.EncodeToString(sum[:16])
}
