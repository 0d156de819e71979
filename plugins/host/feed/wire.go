package feed

import (
	"strings"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Wire is the event as it goes to the plugin. Its data is bytes; but one
// attribute that is not UTF-8 would make gRPC end the line, again and again.
func Wire(e event.Event) *pluginv1.Event {
	w := pluginv1.FromEvent(e)
	for _, s := range []*string{&w.Id, &w.Type, &w.Source, &w.Account, &w.Conversation, &w.By, &w.Action,
		&w.TraceParent, &w.TraceState} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	return w
}
