package sdktest_test

import (
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
)

func TestThePluginOfTheseTestsConforms(t *testing.T) {
	sdktest.Run(t, greeter(), sdktest.Conformance{Config: `{"greeting":"moin"}`})
}
