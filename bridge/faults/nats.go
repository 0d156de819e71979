package faults

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsServer is a NATS server beside the bridge, which stops and comes back with
// what it has stored.
type natsServer struct {
	dir    string
	port   int
	server *server.Server // nil: stopped
}

func (n *natsServer) start() error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: n.port, JetStream: true, StoreDir: n.dir, JetStreamMaxStore: 16 << 30,
		SyncAlways: true, MaxPayload: 8 << 20, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return fmt.Errorf("start a NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return errors.New("start a NATS server: it is not ready within 30s")
	}
	n.server = s
	return nil
}

func (n *natsServer) stop() {
	if n.server == nil {
		return
	}
	n.server.Shutdown()
	n.server.WaitForShutdown()
	n.server = nil
}
