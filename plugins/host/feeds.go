package host

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/feed"
	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// The bounds of what a plugin may ask of a feed.
const (
	// maxFeeds bounds what one plugin may ask of the server.
	maxFeeds   = 256
	maxRetries = 100
	maxTimeout = time.Hour
)

// checkFeeds says what is wrong with the declared feeds: in the configuration,
// where that is where it came from, or else with the plugin itself.
func checkFeeds(feeds []*pluginv1.Feed) (problems []Problem, reason string) {
	if len(feeds) == 0 || len(feeds) > maxFeeds {
		return nil, fmt.Sprintf("it declares %d feeds; 1 to %d are allowed", len(feeds), maxFeeds)
	}
	seen := map[string]bool{}
	for _, f := range feeds {
		switch {
		case !validName.MatchString(f.GetName()):
			return nil, fmt.Sprintf("it declares a feed %q; names are [a-z0-9-]+, up to 64 bytes", f.GetName())
		case seen[f.GetName()]:
			return nil, fmt.Sprintf("it declares feed %q twice", f.GetName())
		}
		if wrong := checkFeed(f); wrong != "" {
			return nil, fmt.Sprintf("it declares feed %q with %s", f.GetName(), wrong)
		}
		seen[f.GetName()] = true
		if f.GetFilter() == "" {
			continue
		}
		if _, err := filter.Compile(f.GetFilter()); err != nil && f.GetFilterPath() != "" {
			problems = append(problems, Problem{Path: f.GetFilterPath(), Message: err.Error()})
		} else if err != nil {
			return nil, fmt.Sprintf("it declares feed %q with a filter that is wrong: %s", f.GetName(), err)
		}
	}
	return problems, ""
}

func checkFeed(f *pluginv1.Feed) string {
	if r := f.GetRate(); r < 0 || math.IsNaN(r) || math.IsInf(r, 0) {
		return fmt.Sprintf("a rate of %v a second; it is 0 or more", r)
	}
	if t := f.GetTimeout(); t != nil && (t.AsDuration() <= 0 || t.AsDuration() > maxTimeout) {
		return fmt.Sprintf("a timeout of %s; it is more than 0, up to %s", t.AsDuration(), maxTimeout)
	}
	if n := len(f.GetRetries()); n > maxRetries {
		return fmt.Sprintf("%d retries; up to %d are allowed", n, maxRetries)
	}
	for _, d := range f.GetRetries() {
		if d.AsDuration() < 0 {
			return fmt.Sprintf("a retry after %s", d.AsDuration())
		}
	}
	return ""
}

// open opens one declared feed, within what was granted.
func (l *line) open(ctx context.Context, index int, declared *pluginv1.Feed) (*feed.Feed, error) {
	name, granted := declared.GetName(), event.Intersect(l.spec.Events, event.Patterns(declared.GetEvents()))
	if len(granted) == 0 {
		l.log.Warn("feed has no events: the plugin wants none of those that it was granted",
			"feed", name, "wants", declared.GetEvents(), "granted", l.spec.Events)
	}
	o := feed.Options{
		Plugin: l.spec.Name, Name: name, OwnEchoes: declared.GetOwnEchoes(),
		Window: l.limits.Window, Held: l.limits.Held, Parked: l.limits.Parked,
		Rate: declared.GetRate(), Unordered: declared.GetUnordered(), Retries: l.limits.Retries, Timeout: l.limits.Timeout,
		Deliver: l.deliver, FirstID: uint64(index) << feedShift,
		Stray: l.stray, Stats: l.stats.feed(name), Tracer: l.tracer, Log: l.log,
	}
	if w := int(declared.GetWindow()); w > 0 {
		o.Window = min(o.Window, w)
	}
	if t := declared.GetTimeout(); t != nil {
		o.Timeout = t.AsDuration()
	}
	if len(declared.GetRetries()) > 0 {
		o.Retries = nil
		for _, d := range declared.GetRetries() {
			o.Retries = append(o.Retries, d.AsDuration())
		}
	}
	if declared.GetFilter() != "" {
		f, err := filter.Compile(declared.GetFilter())
		if err != nil {
			return nil, fmt.Errorf("filter of feed %s of plugin %s: %w", name, l.spec.Name, err)
		}
		o.Filter = func(e event.Event) (bool, error) { return f.Match(e, l.decoded) }
	}
	source, err := l.parts.Feeds.Open(ctx, feed.Spec{
		Plugin: l.spec.Name, Feed: name, Accounts: l.spec.Accounts, Events: granted, Held: o.Held, Parked: o.Parked,
	})
	if err != nil {
		return nil, &ourFault{fmt.Errorf("open feed %s of plugin %s: %w", name, l.spec.Name, err)}
	}
	o.Source = ourFeed{source}
	return feed.New(o), nil
}

// deliver puts a delivery up for sending.
func (l *line) deliver(ctx context.Context, d *pluginv1.Delivery) {
	select {
	case l.deliveries <- d:
	case <-ctx.Done():
	}
}

// openLive subscribes to typing where any feed wants it.
func (l *line) openLive(ctx context.Context, declared []*pluginv1.Feed) (stop func(), err error) {
	var wanted []event.Pattern
	for _, d := range declared {
		wanted = append(wanted, event.Patterns(d.GetEvents())...)
	}
	typing := event.Intersect([]event.Pattern{event.Pattern(event.TypingStart), event.Pattern(event.TypingStop)},
		event.Intersect(l.spec.Events, wanted))
	if len(typing) == 0 {
		return func() {}, nil
	}
	return l.parts.Feeds.Live(ctx, feed.Spec{Plugin: l.spec.Name, Accounts: l.spec.Accounts, Events: typing}, func(e event.Event) {
		select {
		case l.live <- e:
		default:
			l.stats.LiveDropped.Add(1)
		}
	})
}
