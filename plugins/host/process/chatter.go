package process

import (
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// chatter takes what go-plugin logs of its own. All of it goes out at debug:
// what matters to an operator is in our errors and in the plugin's output.
type chatter struct{ log *slog.Logger }

var _ hclog.SinkAdapter = chatter{}

func newChatter(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(chatter{log.WithGroup("goplugin")}) // it has a "plugin" of its own
	return l
}

// Accept implements hclog.SinkAdapter.
func (c chatter) Accept(_ string, level hclog.Level, msg string, args ...any) {
	if level > hclog.Trace {
		c.log.Debug("go-plugin: "+msg, args...)
	}
}
