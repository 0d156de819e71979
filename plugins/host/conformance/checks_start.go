package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

const (
	mendStart    = "run it by hand and see what it prints; then serve as the head of plugin.proto says"
	mendManifest = "mend what Describe answers"
	mendConfig   = "mend the configuration that is given to the test, or what Configure answers"
	mendUnknown  = `write "additionalProperties": false into the schema of the manifest`
	mendEarly    = "answer Connect with an error while Configure has not been called"
	mendTwice    = "refuse a second Configure, or let it take the place of the first"
)

// callTimeout bounds a call that only tells something.
const callTimeout = 10 * time.Second

func checkStart(ctx context.Context, o *Options) error {
	client, end, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, o.within(callTimeout))
	defer cancel()
	if _, err := client.Describe(ctx, &pluginv1.DescribeRequest{}); err != nil {
		return fmt.Errorf("call Describe: %w", err)
	}
	return nil
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func checkManifest(ctx context.Context, o *Options) error {
	client, end, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, o.within(callTimeout))
	defer cancel()
	m, err := client.Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("call Describe: %w", err)
	}
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !validName.MatchString(m.GetName()) {
		add("name %q is not [a-z0-9-]+ of up to 64 bytes", m.GetName())
	}
	if m.GetVersion() == "" {
		add("version is empty")
	}
	if len(m.GetEvents()) == 0 {
		add("events is empty: it asks for none, and so will never get one")
	}
	for _, p := range m.GetEvents() {
		if !slices.ContainsFunc(event.Types, event.Pattern(p).Matches) {
			add("events: %q selects nothing: write *, message.*, or one of %v", p, event.Types)
		}
	}
	for _, a := range m.GetActions() {
		if !event.ActionType(a).Known() {
			add("actions: %q is none of %v", a, event.ActionTypes)
		}
	}
	if p := m.GetProtocols(); len(p) > 0 && !slices.Contains(p, pluginv1.Version) {
		add("protocols: %v has no %d, which is what was agreed on", p, pluginv1.Version)
	}
	// The host says the same of a schema whatever the configuration is.
	_, _, err = host.Configure(ctx, client, host.Spec{Name: under, Config: []byte("{}")})
	var refusal *host.Refusal
	if errors.As(err, &refusal) && refusal.Reason != "" && len(m.GetConfigSchema()) > 0 && notFeeds(refusal.Reason) {
		add("config_schema: %s", refusal.Reason)
	}
	return errors.Join(wrong...)
}

// notFeeds keeps what is wrong with the feeds for the check of the configuration.
func notFeeds(reason string) bool { return regexp.MustCompile(`schema`).MatchString(reason) }

func checkConfig(ctx context.Context, o *Options) error {
	client, end, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer end()
	m, res, err := host.Configure(ctx, client, o.spec())
	if err != nil {
		return err
	}
	for _, f := range res.GetFeeds() {
		both := event.Intersect(event.Patterns(m.GetEvents()), event.Patterns(f.GetEvents()))
		for _, want := range event.Patterns(f.GetEvents()) {
			if !slices.ContainsFunc(both, func(p event.Pattern) bool { return p.Covers(want) }) {
				return fmt.Errorf("feed %s wants %q, which is not in the manifest: the operator could never grant it", f.GetName(), want)
			}
		}
		if len(both) == 0 {
			return fmt.Errorf("feed %s wants no events", f.GetName())
		}
	}
	return nil
}

func checkUnknownKey(ctx context.Context, o *Options) error {
	client, end, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer end()
	spec := o.spec()
	if spec.Config, err = withKey(o.Config, "conformance-unknown-key"); err != nil {
		return err
	}
	_, _, err = host.Configure(ctx, client, spec)
	var refusal *host.Refusal
	switch {
	case err == nil:
		return errors.New(`{"conformance-unknown-key": 1} beside the configuration was accepted: an operator's typo would go unseen`)
	case !errors.As(err, &refusal):
		return err
	case len(refusal.Problems) == 0:
		return refusal
	}
	return nil
}

func checkEarlyConnect(ctx context.Context, o *Options) error {
	client, end, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer end()
	line, cut := context.WithCancel(ctx)
	defer cut()
	stream, err := client.Connect(line)
	if err != nil {
		return nil // refused, if not in the usual way
	}
	if err := stream.Send(&pluginv1.FromHost{Message: &pluginv1.FromHost_Ping{Ping: &pluginv1.Ping{Number: 1}}}); err != nil {
		return nil
	}
	answered := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		answered <- err
	}()
	select {
	case err := <-answered:
		if err == nil {
			return errors.New("the line stood and was answered, though there was no Configure")
		}
	case <-time.After(o.within(callTimeout)):
		return fmt.Errorf("the line stood for %s, though there was no Configure", o.within(callTimeout))
	}
	ctx, cancel := context.WithTimeout(ctx, o.within(callTimeout))
	defer cancel()
	if _, err := client.Describe(ctx, &pluginv1.DescribeRequest{}); err != nil {
		return fmt.Errorf("it does not answer any more: %w", err)
	}
	return nil
}

func checkConfigureTwice(ctx context.Context, o *Options) error {
	s, err := open(ctx, o, nil)
	if err != nil {
		return err
	}
	defer s.end()
	req := &pluginv1.ConfigureRequest{Name: under, Config: o.Config, Accounts: o.Accounts}
	call, cancel := context.WithTimeout(ctx, o.within(callTimeout))
	defer cancel()
	// With the line standing it may only be refused or do nothing.
	if res, err := s.client.Configure(call, req); err == nil && len(res.GetProblems()) == 0 && !sameFeeds(res.GetFeeds(), s.feeds) {
		return errors.New("the same configuration was answered with other feeds the second time")
	}
	if err := s.ping(ctx, 1); err != nil {
		return fmt.Errorf("after a second Configure: %w", err)
	}
	ids, err := s.deliver(s.fresh("twice", 1)...)
	if err != nil {
		return fmt.Errorf("after a second Configure: %w", err)
	}
	if err := s.settled(ctx, ids); err != nil {
		return fmt.Errorf("after a second Configure: %w", err)
	}
	return nil
}

func sameFeeds(a, b []*pluginv1.Feed) bool {
	return slices.EqualFunc(a, b, func(a, b *pluginv1.Feed) bool { return proto.Equal(a, b) })
}
