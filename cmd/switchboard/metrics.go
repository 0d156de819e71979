package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/plugins/host"
)

// observe makes metrics of what the parts count anyway, when they are asked
// for: the hot path knows nothing of it. Labels are names of the
// configuration, states and known types, so their number is bounded.
func observe(m metric.Meter, r *bridgeRun) error {
	o := &observer{meter: m}
	received := o.counter("switchboard.events.received", "{event}", "Events read off the backend's socket, by type.")
	published := o.counter("switchboard.events.published", "{event}", "Events put into the stream.")
	duplicates := o.counter("switchboard.events.duplicates", "{event}", "Events that were in the stream already.")
	live := o.counter("switchboard.events.live", "{event}", "Typing events passed on.")
	lost := o.counter("switchboard.events.lost", "{event}", "Events that could not be published at all.")
	quarantined := o.counter("switchboard.frames.quarantined", "{frame}", "Frames that could not be read.")
	complaints := o.counter("switchboard.backend.complaints", "{error}", "Errors that the backend reported.")
	connected := o.gauge("switchboard.link.connected", "", "1 while the account's link is connected.")
	connections := o.counter("switchboard.link.connections", "{connection}", "Connections made to the backend.")
	actions := o.counter("switchboard.actions", "{action}", "Actions by what became of them.")
	waiting := o.gauge("switchboard.actions.waiting", "{action}", "Actions under way or waiting for their turn.")
	typing := o.counter("switchboard.actions.typing", "{action}", "Typing actions sent.")
	replayed := o.counter("switchboard.events.replayed", "{event}", "Events that the socket did not tell and REST did.")
	holding := o.gauge("switchboard.events.held", "{event}", "Events that wait for the comparison after a connection.")
	comparable := o.gauge("switchboard.reconcile.ok", "", "1 while the backend's REST API can be compared with.")
	recycled := o.counter("switchboard.link.recycled", "{connection}", "Healthy connections that were replaced.")
	running := o.gauge("switchboard.plugin.running", "", "1 while the plugin is connected and fed.")
	restarts := o.counter("switchboard.plugin.restarts", "{restart}", "Times the plugin was started again.")
	taken := o.counter("switchboard.plugin.actions", "{action}", "Actions that the plugin asked for, accepted or refused.")
	looped := o.counter("switchboard.actions.looped", "{action}", "Messages refused because bots answered each other.")
	timers := o.gauge("switchboard.plugin.timers", "{timer}", "Timers that the plugin has set.")
	dropped := o.counter("switchboard.plugin.live.dropped", "{event}", "Typing events that the plugin was too slow for.")
	feeds := o.counter("switchboard.feed.deliveries", "{delivery}", "Deliveries to the plugin by what became of them.")
	held := o.gauge("switchboard.feed.held", "{event}", "Events inside the plugin or waiting for their turn.")
	nats := o.gauge("switchboard.nats.connected", "", "1 while NATS can be reached.")
	if o.err != nil {
		return o.err
	}

	_, err := m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		s := r.status()
		put := func(i metric.Int64Observable, n uint64, labels ...string) {
			to.ObserveInt64(i, int64(n), metric.WithAttributes(attributes(labels)...))
		}
		put(nats, one(s.NATS.Connected))
		for _, a := range s.Accounts {
			account := []string{"account", a.Account}
			for t, n := range a.Inbound.Received {
				put(received, n, "account", a.Account, "type", string(t))
			}
			put(published, a.Inbound.Published, account...)
			put(duplicates, a.Inbound.Duplicates, account...)
			put(live, a.Inbound.Live, account...)
			put(lost, a.Inbound.Lost, account...)
			put(quarantined, a.Inbound.Quarantined, account...)
			put(complaints, a.Inbound.Complaints, account...)
			put(replayed, a.Inbound.Replayed, account...)
			put(holding, uint64(a.Reconcile.Held), account...)
			put(comparable, one(a.Reconcile.Problem == ""), account...)
			put(recycled, uint64(a.Link.Recycled), account...)
			put(connected, one(a.Link.State == link.Connected), account...)
			put(connections, uint64(a.Link.Connections), account...)
			for result, n := range map[string]uint64{
				"accepted": a.Outbox.Accepted, "duplicate": a.Outbox.Duplicates, "refused": a.Outbox.Refused,
				"sent": a.Outbox.Sent, "confirmed": a.Outbox.Confirmed, "failed": a.Outbox.Failed, "expired": a.Outbox.Expired,
			} {
				put(actions, n, "account", a.Account, "result", result)
			}
			put(waiting, uint64(a.Outbox.Waiting), account...)
			put(typing, a.Outbox.Typing, account...)
			put(looped, a.Outbox.Looped, account...)
		}
		for _, p := range s.Plugins {
			put(running, one(p.State == host.Running), "plugin", p.Name)
			put(restarts, uint64(p.Restarts), "plugin", p.Name)
			put(taken, p.Accepted, "plugin", p.Name, "result", "accepted")
			put(taken, p.Refused, "plugin", p.Name, "result", "refused")
			put(dropped, p.LiveDropped, "plugin", p.Name)
			put(timers, uint64(p.Timers), "plugin", p.Name)
			for _, f := range p.Feeds {
				for result, n := range map[string]uint64{
					"delivered": f.Delivered, "acked": f.Acked, "retried": f.Retried, "dead": f.Dead,
				} {
					put(feeds, n, "plugin", p.Name, "feed", f.Name, "result", result)
				}
				put(held, uint64(f.Held), "plugin", p.Name, "feed", f.Name)
			}
		}
		return nil
	}, o.all...)
	return err
}

// observer collects instruments, and the first error in making one.
type observer struct {
	meter metric.Meter
	all   []metric.Observable
	err   error
}

func (o *observer) counter(name, unit, what string) metric.Int64Observable {
	i, err := o.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	return o.keep(i, err)
}

func (o *observer) gauge(name, unit, what string) metric.Int64Observable {
	i, err := o.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
	return o.keep(i, err)
}

func (o *observer) keep(i metric.Int64Observable, err error) metric.Int64Observable {
	if o.err == nil {
		o.err = err
	}
	o.all = append(o.all, i)
	return i
}

func one(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// attributes makes labels of names and values in turn.
func attributes(labels []string) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		list = append(list, attribute.String(labels[i], labels[i+1]))
	}
	return list
}
