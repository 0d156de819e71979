package slack

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/plugins/slack/slacktest"
)

func TestConformance(t *testing.T) {
	server := httptest.NewServer(slacktest.New(token))
	t.Cleanup(server.Close)
	sdktest.Run(t, Plugin(), sdktest.Conformance{Config: fmt.Sprintf(
		`{"token":%q,"api_url":"%s/api/","rules":[{"events":["*"],"channel":"#support"}]}`, token, server.URL)})
}
