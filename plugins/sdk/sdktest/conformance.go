package sdktest

import (
	"context"
	"testing"

	"github.com/switchboard-dev/switchboard/plugins/host/conformance"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Conformance is what [Run] tests with.
type Conformance struct {
	// Config is a configuration in JSON under which the plugin has something to
	// do. Empty: {}.
	Config string
	// Events are what it is given. Empty: one of each type.
	Events []event.Event
}

// Run runs p through what every plugin must keep to, each rule as a subtest.
// `switchboard plugins test` does the same with an executable, and more.
func Run[C any](t *testing.T, p sdk.Plugin[C], c Conformance) {
	t.Helper()
	o := conformance.Options{
		Config: []byte(c.Config), Events: c.Events,
		Start: func(context.Context) (pluginv1.PluginClient, func(), error) {
			client, stop := serve(t, p)
			return client, stop, nil
		},
	}
	_, err := conformance.Run(t.Context(), o, func(r conformance.Result) {
		t.Run(r.Name, func(t *testing.T) {
			switch {
			case r.Err != nil:
				t.Errorf("%s: %v\nto mend it: %s", r.Rule, r.Err, r.Mend)
			case r.Note != "":
				t.Log(r.Note)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
