package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// memory is what outlives a session: what was accepted, and what was stored.
type memory struct {
	mu      sync.Mutex
	taken   map[string]bool
	actions []event.Action // each that was asked for, doubles too
	store   map[string][]byte
	timers  map[string]*pluginv1.Schedule
}

func newMemory() *memory {
	return &memory{taken: map[string]bool{}, store: map[string][]byte{}, timers: map[string]*pluginv1.Schedule{}}
}

// asked are the actions that were asked for.
func (m *memory) asked() []event.Action {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.actions)
}

// answer does for a request what the host would.
func (s *session) answer(ctx context.Context, req *pluginv1.Request) *pluginv1.Answer {
	ans := &pluginv1.Answer{Request: req.GetId()}
	m := s.memory
	switch r := req.GetRequest().(type) {
	case *pluginv1.Request_Act:
		s.act(ctx, r.Act.ToAction(), ans)
	case *pluginv1.Request_Get:
		m.mu.Lock()
		value, ok := m.store[r.Get.GetKey()]
		m.mu.Unlock()
		ans.Answer = &pluginv1.Answer_Value{Value: &pluginv1.Value{Value: value}}
		if !ok {
			refuse(ans, pluginv1.Error_CODE_NOT_FOUND, "nothing is stored under that key")
		}
	case *pluginv1.Request_Put:
		m.mu.Lock()
		m.store[r.Put.GetKey()] = r.Put.GetValue()
		m.mu.Unlock()
		ans.Answer = &pluginv1.Answer_Done{Done: &pluginv1.Done{}}
	case *pluginv1.Request_Delete:
		m.mu.Lock()
		delete(m.store, r.Delete.GetKey())
		m.mu.Unlock()
		ans.Answer = &pluginv1.Answer_Done{Done: &pluginv1.Done{}}
	case *pluginv1.Request_List:
		ans.Answer = &pluginv1.Answer_Keys{Keys: &pluginv1.Keys{Keys: m.keys(r.List.GetPrefix(), r.List.GetAfter())}}
	case *pluginv1.Request_Schedule:
		m.mu.Lock()
		m.timers[r.Schedule.GetKey()] = r.Schedule
		m.mu.Unlock()
		ans.Answer = &pluginv1.Answer_Done{Done: &pluginv1.Done{}}
	case *pluginv1.Request_Unschedule:
		m.mu.Lock()
		delete(m.timers, r.Unschedule.GetKey())
		m.mu.Unlock()
		ans.Answer = &pluginv1.Answer_Done{Done: &pluginv1.Done{}}
	case *pluginv1.Request_Wait:
		m.wait(r.Wait.GetAccount(), r.Wait.GetId(), ans)
	case *pluginv1.Request_LookUp:
		found, err := s.lookUp(ctx, r.LookUp.GetAccount(), r.LookUp.GetConversation())
		ans.Answer = &pluginv1.Answer_Conversation{Conversation: &pluginv1.Conversation{Data: found.Data, Messages: found.Messages}}
		if errors.Is(err, host.ErrNotFound) {
			refuse(ans, pluginv1.Error_CODE_NOT_FOUND, "the backend has no such conversation")
		} else if err != nil {
			refuse(ans, pluginv1.Error_CODE_UNAVAILABLE, err.Error())
		}
	default:
		refuse(ans, pluginv1.Error_CODE_INVALID, "a request that this host does not know")
	}
	return ans
}

func refuse(ans *pluginv1.Answer, code pluginv1.Error_Code, why string) {
	ans.Answer = &pluginv1.Answer_Error{Error: &pluginv1.Error{Code: code, Message: why}}
}

// act accepts an action, as far as it is valid and in the manifest.
func (s *session) act(ctx context.Context, a event.Action, ans *pluginv1.Answer) {
	m := s.memory
	m.mu.Lock()
	m.actions = append(m.actions, a)
	m.mu.Unlock()
	switch err := a.Check(); {
	case err != nil:
		refuse(ans, pluginv1.Error_CODE_INVALID, err.Error())
		return
	case !slices.Contains(s.manifest.GetActions(), string(a.Type)):
		refuse(ans, pluginv1.Error_CODE_NOT_GRANTED, "not in the manifest: "+string(a.Type))
		return
	case !slices.Contains(s.o.Accounts, a.Account):
		refuse(ans, pluginv1.Error_CODE_NOT_GRANTED, "not an account that was granted: "+a.Account)
		return
	}
	m.mu.Lock()
	duplicate := a.ID != "" && m.taken[a.ID]
	m.taken[a.ID] = true
	m.mu.Unlock()
	if s.o.Act != nil && !duplicate {
		if err := s.o.Act(ctx, a); err != nil {
			refuse(ans, pluginv1.Error_CODE_UNAVAILABLE, err.Error())
			return
		}
	}
	ans.Answer = &pluginv1.Answer_Accepted{Accepted: &pluginv1.Accepted{Duplicate: duplicate}}
}

// wait says of an action that was accepted that it was confirmed.
func (m *memory) wait(account, id string, ans *pluginv1.Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.actions {
		if a.ID != id || a.Account != account || !m.taken[id] {
			continue
		}
		data, err := json.Marshal(event.ActionResult{
			ID: a.ID, Type: a.Type, Account: a.Account, Conversation: a.Conversation, By: under, Attempts: 1,
		})
		if err != nil {
			refuse(ans, pluginv1.Error_CODE_UNAVAILABLE, err.Error())
			return
		}
		ans.Answer = &pluginv1.Answer_Result{Result: &pluginv1.Result{Type: string(event.ActionConfirmed), Data: data}}
		return
	}
	refuse(ans, pluginv1.Error_CODE_NOT_FOUND, "no such action was accepted")
}

func (s *session) lookUp(ctx context.Context, account, conversation string) (host.Conversation, error) {
	if s.o.LookUp != nil {
		return s.o.LookUp(ctx, account, conversation)
	}
	if !slices.Contains(s.o.Accounts, account) {
		return host.Conversation{}, host.ErrNotFound
	}
	return host.Conversation{Data: []byte(conversationSample), Messages: [][]byte{[]byte(messageSample)}}, nil
}

func (m *memory) keys(prefix, after string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m.store)) {
		if strings.HasPrefix(key, prefix) && key > after {
			list = append(list, key)
		}
	}
	return list
}
