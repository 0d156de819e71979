package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Probe tries the external server that o names: it connects, asks for
// JetStream, and leaves. It changes nothing there.
func Probe(ctx context.Context, o Options) error {
	options := []nats.Option{nats.Name("switchboard check")}
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	conn, err := nats.Connect(o.URL, options...)
	if err != nil {
		return explain(redactURL(o.URL), err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return fmt.Errorf("ask NATS at %s for JetStream: %w: start the server with -js, and let this account use it", redactURL(o.URL), err)
	}
	return nil
}
