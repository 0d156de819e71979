package autoresponder

import (
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	sdktest.Run(t, Plugin(), sdktest.Conformance{Config: rules(
		`{"name":"a","when":{"events":["message.new","message.updated","conversation.new"]},"then":{"reply":"Hello","status":"pending","mark_as_read":true},"limits":{"cooldown":"1h"}}`)})
}
