package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// ping is the action that changes nothing.
const ping event.ActionType = "ping"

// request is an action as it comes over a socket. An id may be a number or a
// string of digits, as for Django.
type request struct {
	Type event.ActionType `json:"type"`
	Data struct {
		Conversation json.Number        `json:"conversation_id"`
		Content      string             `json:"content"`
		MessageType  *event.MessageType `json:"message_type"`
		Status       *event.Status      `json:"status"`
		ClientRef    string             `json:"client_ref"`
	} `json:"data"`
}

// verbs are the actions: what each does to the world, and the event that comes
// of it. ref is the client_ref that the event carries.
var verbs = map[event.ActionType]func(w *world, conversation int64, r request, ref string) (notice, error){
	event.SendMessage:  sendMessage,
	event.UpdateStatus: updateStatus,
	event.MarkAsRead:   markAsRead,
	event.StartTyping:  agentTypes,
	event.StopTyping:   agentTypes,
}

// perform does an action and returns what only its sender is to hear: a pong,
// an error or nothing.
func (a *account) perform(raw []byte, mute bool) []byte {
	var r request
	if err := json.Unmarshal(raw, &r); err != nil {
		return a.complain(fmt.Errorf("read frame: %w", err), "")
	}
	ref := ""
	if a.opts.EchoRef {
		ref = r.Data.ClientRef
	}
	if r.Type == ping {
		a.pinged()
		if mute || a.opts.IgnorePing {
			return nil
		}
		return frame("pong", struct{}{})
	}
	verb, known := verbs[r.Type]
	if !known {
		return a.complain(fmt.Errorf("type %q is not an action", r.Type), ref)
	}
	err := a.change(func(w *world) (notice, error) {
		conversation, err := r.Data.Conversation.Int64()
		if err != nil {
			return notice{}, errors.New("conversation_id is not the id of a conversation")
		}
		n, err := verb(w, conversation, r, ref)
		if err != nil {
			return notice{}, err
		}
		a.counts.Actions[string(r.Type)]++
		if r.Data.ClientRef != "" {
			a.counts.Refs[r.Data.ClientRef]++
		}
		if !n.kind.Live() {
			a.done = append(a.done, r.done(conversation))
		}
		return n, nil
	})
	if err != nil {
		return a.complain(err, ref)
	}
	return nil
}

func (a *account) pinged() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Actions[string(ping)]++
	a.touch()
}

// complain counts an invalid frame and returns the error frame for it.
func (a *account) complain(err error, ref string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Invalid++
	a.touch()
	return frame("error", struct {
		Message   string `json:"message"`
		ClientRef string `json:"client_ref,omitempty"`
	}{err.Error(), ref})
}

func sendMessage(w *world, conversation int64, r request, ref string) (notice, error) {
	if strings.TrimSpace(r.Data.Content) == "" {
		return notice{}, errors.New("content may not be blank")
	}
	kind := event.MessageOutgoing
	if r.Data.MessageType != nil {
		kind = *r.Data.MessageType
	}
	if kind < event.MessageIncoming || kind > event.MessageTemplate {
		return notice{}, fmt.Errorf("message_type %d is not 0 to 3", kind)
	}
	m, err := w.agentWrites(w.now(), conversation, r.Data.Content, kind)
	if err != nil {
		return notice{}, err
	}
	told := *m
	told.ClientRef = ref
	return notice{event.MessageNew, told}, nil
}

func updateStatus(w *world, conversation int64, r request, ref string) (notice, error) {
	if r.Data.Status == nil {
		return notice{}, errors.New("status is missing")
	}
	t, err := w.setStatus(w.now(), conversation, *r.Data.Status)
	if err != nil {
		return notice{}, err
	}
	told := t.conversation
	told.ClientRef = ref
	return notice{event.ConversationUpdated, told}, nil
}

func markAsRead(w *world, conversation int64, _ request, ref string) (notice, error) {
	t, err := w.markRead(conversation)
	if err != nil {
		return notice{}, err
	}
	told := t.conversation
	told.ClientRef = ref
	return notice{event.ConversationUpdated, told}, nil
}

func agentTypes(w *world, conversation int64, r request, ref string) (notice, error) {
	if _, err := w.thread(conversation); err != nil {
		return notice{}, err
	}
	told := typing{
		ConversationID: conversation, UserID: w.agent, UserName: "Agent",
		IsTyping: r.Type == event.StartTyping, ClientRef: ref,
	}
	return notice{typingEvent(told.IsTyping), told}, nil
}

func typingEvent(isTyping bool) event.Type {
	if isTyping {
		return event.TypingStart
	}
	return event.TypingStop
}
