package pluginv1

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// FromEvent is the envelope as it goes over the line. Data is shared.
func FromEvent(e event.Event) *Event {
	return &Event{
		Id: e.ID, Type: string(e.Type), Source: e.Source, Account: e.Account, Conversation: e.Conversation,
		Time: stamp(e.Time), Replayed: e.Replayed, By: e.By, Action: e.Action,
		TraceParent: e.TraceParent, TraceState: e.TraceState, Data: e.Data,
	}
}

// ToEvent is the envelope as it came over the line. Data is shared.
func (e *Event) ToEvent() event.Event {
	return event.Event{
		ID: e.GetId(), Type: event.Type(e.GetType()), Source: e.GetSource(),
		Account: e.GetAccount(), Conversation: e.GetConversation(),
		Time: timeOf(e.GetTime()), Replayed: e.GetReplayed(), By: e.GetBy(), Action: e.GetAction(),
		TraceParent: e.GetTraceParent(), TraceState: e.GetTraceState(), Data: e.GetData(),
	}
}

// FromAction is the action as it goes over the line.
func FromAction(a event.Action) *Action {
	return &Action{
		Id: a.ID, Type: string(a.Type), Account: a.Account, Conversation: a.Conversation,
		Body: a.Body, At: stamp(a.At), Expires: stamp(a.Expires),
		TraceParent: a.TraceParent, TraceState: a.TraceState,
	}
}

// ToAction is the action as it came over the line; nothing of it is checked.
func (a *Action) ToAction() event.Action {
	return event.Action{
		ID: a.GetId(), Type: event.ActionType(a.GetType()), Account: a.GetAccount(), Conversation: a.GetConversation(),
		Body: a.GetBody(), At: timeOf(a.GetAt()), Expires: timeOf(a.GetExpires()),
		TraceParent: a.GetTraceParent(), TraceState: a.GetTraceState(),
	}
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
