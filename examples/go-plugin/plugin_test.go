package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

const settings = `{"after": "10m", "say": "Sorry!"}`

// written is the event of a message that is written now.
func written(id int, by string) event.Event {
	data, err := json.Marshal(event.Message{ID: int64(id), ConversationID: 42, SenderType: by, CreatedAt: time.Now(), UpdatedAt: time.Now()})
	if err != nil {
		panic(err)
	}
	return event.Event{ID: fmt.Sprint("e", id), Type: event.MessageNew, Account: "7", Conversation: "42", Data: data}
}

func deliver(t *testing.T, line *sdktest.Line, e event.Event) {
	t.Helper()
	if out := line.Deliver(e); out.Result != sdktest.Ack {
		t.Fatalf("outcome of %s: %+v", e.ID, out)
	}
}

func TestACustomerWhoWaitsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := sdktest.Start(t, manifest(), settings)
		deliver(t, line, written(1, "Contact"))
		time.Sleep(5 * time.Minute)
		line.Restart() // the timer survives it
		deliver(t, line, written(2, "Contact"))
		time.Sleep(4*time.Minute + 59*time.Second)
		if actions := line.Actions(); len(actions) != 0 {
			t.Fatalf("before the time: %+v", actions)
		}
		time.Sleep(time.Hour)
		actions := line.Actions()
		if len(actions) != 1 || actions[0].Conversation != "42" || string(actions[0].Body) != `{"content":"Sorry!"}` {
			t.Errorf("actions = %+v", actions)
		}
	})
}

func TestACustomerWhoWasAnsweredIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := sdktest.Start(t, manifest(), settings)
		deliver(t, line, written(1, "Contact"))
		time.Sleep(5 * time.Minute)
		deliver(t, line, written(2, "User"))
		deliver(t, line, written(3, "Contact")) // thanks; this is no first answer that is due
		time.Sleep(time.Hour)
		if actions := line.Actions(); len(actions) != 0 {
			t.Errorf("actions = %+v", actions)
		}
	})
}

func TestProblems(t *testing.T) {
	for config, path := range map[string]string{
		`{"after": "10"}`: "/after", `{"after": "1ms"}`: "/after", `{"say": " "}`: "/say",
	} {
		if got := sdktest.Problems(t, manifest(), config); len(got) != 1 || got[0].Path != path {
			t.Errorf("problems of %s: %+v", config, got)
		}
	}
}

func TestKeepsToWhatEveryPluginMust(t *testing.T) { sdktest.Run(t, manifest(), sdktest.Conformance{}) }
