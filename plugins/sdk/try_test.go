package sdk_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// exampleTB lets examples run plugins as tests do.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                           {}
func (*exampleTB) Context() context.Context          { return context.Background() }
func (*exampleTB) Output() io.Writer                 { return io.Discard }
func (*exampleTB) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (*exampleTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Cleanup(fn func())               { t.cleanups = append(t.cleanups, fn) }

// plugin is one that has a handler for messages and no configuration.
func plugin(onMessage func(context.Context, *sdk.Delivery, event.Message) error) sdk.Plugin[struct{}] {
	return sdk.Plugin[struct{}]{
		Name: "example", Version: "1", Events: []string{"message.new"}, Actions: event.ActionTypes,
		Configure: sdk.Handle[struct{}](sdk.Handlers{OnMessageNew: onMessage}),
	}
}

// try gives the plugin a message of each text, and prints what comes of it.
func try[C any](p sdk.Plugin[C], config string, texts ...string) {
	t := &exampleTB{}
	line := sdktest.Start(t, p, config)
	line.Conversation("7", "1", `{"id":1,"contact":{"id":1,"name":"Ada"}}`, `{"id":1,"content":"hi"}`, `{"id":2,"content":"anyone?"}`)
	for i, text := range texts {
		out := line.Deliver(event.Event{
			ID: fmt.Sprint("e", i+1), Type: event.MessageNew, Account: "7", Conversation: "1",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			Data:        fmt.Appendf(nil, `{"id":%d,"content":%q,"sender_type":"Contact","conversation_id":1}`, i+1, text),
		})
		fmt.Println(strings.TrimSpace(fmt.Sprint(out.Result, " ", out.Reason)))
	}
	for _, fn := range t.cleanups {
		fn()
	}
	for _, a := range line.Actions() {
		fmt.Println(strings.TrimSpace(fmt.Sprint(a.ID, " ", a.Type, " ", string(a.Body))))
	}
	for name, n := range line.Counters() {
		fmt.Println(name, n)
	}
}
