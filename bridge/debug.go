package bridge

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// debugged is a connector whose sessions log what they carry.
type debugged struct {
	connectors.Connector
	log    *slog.Logger
	redact func(string) string
}

func (d *debugged) Dial(ctx context.Context) (connectors.Session, error) {
	s, err := d.Connector.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &debuggedSession{s, d}, nil
}

type debuggedSession struct {
	connectors.Session
	d *debugged
}

func (s *debuggedSession) Receive(ctx context.Context) (connectors.Frame, error) {
	f, err := s.Session.Receive(ctx)
	if err == nil {
		s.d.show("frame", string(f.Raw))
	}
	return f, err
}

func (s *debuggedSession) Send(ctx context.Context, a event.Action, ref string) error {
	s.d.show("action", fmt.Sprintf("%s to %s %s", a.Type, a.Conversation, a.Body))
	return s.Session.Send(ctx, a, ref)
}

func (d *debugged) show(what, text string) {
	if d.redact != nil {
		text = d.redact(text)
	}
	d.log.Info(what, "text", text)
}
