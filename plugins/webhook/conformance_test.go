package webhook

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	sdktest.Run(t, Plugin(), sdktest.Conformance{Config: fmt.Sprintf(
		`{"allow_networks":["127.0.0.0/8"],"endpoints":[{"url":%q,"secret":%q}]}`, server.URL, testSecret)})
}
