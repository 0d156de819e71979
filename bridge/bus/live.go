package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// PublishLive publishes a typing event: to who listens now, stored nowhere.
func (b *Bus) PublishLive(e event.Event) error {
	if err := b.conn.PublishMsg(b.subjects.encode(e)); err != nil {
		return fmt.Errorf("publish %s: %w", e.Type, err)
	}
	return nil
}

// Live calls fn for each typing event of the accounts (none: of all) until stop
// is called. fn must not block.
func (b *Bus) Live(accounts []string, types []event.Pattern, fn func(event.Event)) (stop func(), err error) {
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			// It fails when the connection is closed, which is as good.
			_ = s.Unsubscribe()
		}
	}
	if len(accounts) == 0 {
		accounts = []string{""}
	}
	for _, account := range accounts {
		for _, t := range types {
			sub, err := b.conn.Subscribe(b.subjects.live(account, "", t), func(m *nats.Msg) {
				if e, err := decode(m.Header, m.Data); err == nil {
					fn(e)
				}
			})
			if err != nil {
				stop()
				return nil, fmt.Errorf("listen to typing: %w", err)
			}
			subs = append(subs, sub)
		}
	}
	return stop, nil
}

// TailSpec says which events to watch. Empty fields select all.
type TailSpec struct {
	Account, Conversation string
	Types                 []event.Pattern
	// Since is how far back to begin; zero: now.
	Since time.Time
}

// Tail calls fn for each event, the stored ones in order and typing as it
// comes, until ctx ends. fn is called by one goroutine at a time.
func (b *Bus) Tail(ctx context.Context, spec TailSpec, fn func(event.Event) error) error {
	types := spec.Types
	if len(types) == 0 {
		types = []event.Pattern{"*"}
	}
	var filter []string
	for _, t := range types {
		if !strings.HasPrefix(string(t), "typing.") {
			filter = append(filter, b.subjects.events(spec.Account, spec.Conversation, t))
		}
	}
	typing := typing(types)

	events, failed := make(chan event.Event, prefetch), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(typing) > 0 {
		var accounts []string
		if spec.Account != "" {
			accounts = []string{spec.Account}
		}
		stop, err := b.Live(accounts, typing, func(e event.Event) {
			if spec.Conversation != "" && spec.Conversation != e.Conversation {
				return
			}
			select {
			case events <- e:
			default: // typing gives way
			}
		})
		if err != nil {
			return err
		}
		defer stop()
	}
	if len(filter) > 0 {
		messages, err := b.tailStored(ctx, spec.Since, filter)
		if err != nil {
			return err
		}
		defer messages.Stop()
		go func() {
			for {
				msg, err := messages.Next(jetstream.NextContext(ctx))
				if err != nil {
					failed <- err
					return
				}
				e, err := decode(msg.Headers(), msg.Data())
				if err != nil {
					continue
				}
				select {
				case events <- e:
				case <-ctx.Done():
					failed <- context.Cause(ctx)
					return
				}
			}
		}()
	}
	for {
		select {
		case e := <-events:
			if err := fn(e); err != nil {
				return err
			}
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch events: %w", err)
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *Bus) tailStored(ctx context.Context, since time.Time, filter []string) (jetstream.MessagesContext, error) {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: filter, DeliverPolicy: jetstream.DeliverNewPolicy}
	if !since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	consumer, err := b.js.OrderedConsumer(ctx, b.streams.events, config)
	if err != nil {
		return nil, fmt.Errorf("watch events: %w", err)
	}
	return consumer.Messages()
}
