package bus

import "fmt"

// Cut closes the connection to NATS, which then is made anew as after any
// loss. It is for the demo and for tests: what is under way must survive it.
func (b *Bus) Cut() error {
	if err := b.conn.ForceReconnect(); err != nil {
		return fmt.Errorf("cut the NATS connection: %w", err)
	}
	return nil
}

// Reconnects is how often the connection to NATS came back.
func (b *Bus) Reconnects() uint64 { return b.conn.Stats().Reconnects }
