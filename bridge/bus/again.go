package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// What a feed is to be given once more is copied into a work queue of its own,
// on disk: there it waits, in order per conversation, for as long as the plugin
// is away, beside what is new. The copy is exact over every interruption, see
// again_page.go.

// Errors of what is to be delivered once more.
var (
	// ErrNoFeed says that there is no such feed.
	ErrNoFeed = errors.New("no such feed")
	// ErrReplay says that a replay cannot be gone on with.
	ErrReplay = errors.New("the replay cannot be gone on with")
	// ErrReplaysFull says that too much waits to be delivered once more.
	ErrReplaysFull = errors.New("too much waits to be delivered once more")
)

// ReplaySpec says which events a plugin is to be given once more, of those that
// its feeds select. Empty fields select all.
type ReplaySpec struct {
	// ID names the replay, in the keys of its deliveries too. Asked for twice,
	// it goes on where it was interrupted.
	ID string
	// Resume refuses to begin: it is for going on alone.
	Resume                bool
	Plugin, Feed          string
	Account, Conversation string
	Types                 []event.Pattern
	// Since and Until bound when the events were stored; a zero Until: now.
	Since, Until time.Time
	// DryRun counts alone.
	DryRun bool
}

// ReplayedFeed is how far a replay is with one feed.
type ReplayedFeed struct {
	Feed string `json:"feed"`
	// Events is how many are selected, Taken how many of them are on disk, to be
	// delivered once more.
	Events uint64 `json:"events"`
	Taken  uint64 `json:"taken"`
}

// again is what the bus has for it.
type again struct {
	// turn is held by the replay that runs: one at a time.
	turn chan struct{}
	// writing is held by who writes what is to be delivered once more.
	writing chan struct{}
	// settled: no page of an earlier run is in doubt. Under writing.
	settled bool
	// batches: the stream takes atomic batches. Under writing.
	batches bool
}

func newAgain() again { return again{turn: make(chan struct{}, 1), writing: make(chan struct{}, 1)} }

// take waits for a turn.
func take(ctx context.Context, turn chan struct{}) (release func(), err error) {
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// replayed is what is kept of a replay to one feed.
type replayed struct {
	ID           string          `json:"id"`
	Account      string          `json:"account,omitempty"`
	Conversation string          `json:"conversation,omitempty"`
	Types        []event.Pattern `json:"types,omitempty"`
	// To is the last event that was there when it was asked for.
	To uint64 `json:"to"`
	// All before From is decided on, and so are Skip events from there on; From
	// is 0 before the first page.
	From uint64 `json:"from"`
	Skip int    `json:"skip,omitempty"`
	// Taken counts what is on disk.
	Taken uint64 `json:"taken"`
	// Page is being written; nil: none.
	Page *replayedPage `json:"page,omitempty"`
}

// selectsNote is where a feed's consumer has the subjects that the feed has
// events of, apart by spaces.
const selectsNote = "switchboard-selects"

// feedFilter is a feed with the subjects that it has events of.
type feedFilter struct {
	name     string
	subjects []string
}

// feedsOf are the feeds of a plugin, by name, as their consumers know them.
func (b *Bus) feedsOf(ctx context.Context, plugin string) ([]feedFilter, error) {
	stream, err := b.js.Stream(ctx, b.streams.events)
	if err != nil {
		return nil, fmt.Errorf("look for the feeds of %s: %w", plugin, err)
	}
	var feeds []feedFilter
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		name, ours := strings.CutPrefix(info.Config.Durable, plugin+"_")
		if !ours {
			continue
		}
		f := feedFilter{name, strings.Fields(info.Config.Metadata[selectsNote])}
		if len(f.subjects) == 0 { // of an older version
			f.subjects = info.Config.FilterSubjects
			if info.Config.FilterSubject != "" {
				f.subjects = append(f.subjects, info.Config.FilterSubject)
			}
		}
		feeds = append(feeds, f)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("look for the feeds of %s: %w", plugin, err)
	}
	if len(feeds) == 0 {
		return nil, fmt.Errorf("%w: plugin %q has had none yet: `switchboard status` shows the plugins of this bridge", ErrNoFeed, plugin)
	}
	slices.SortFunc(feeds, func(a, b feedFilter) int { return strings.Compare(a.name, b.name) })
	return feeds, nil
}

// feedOf is one of them, an empty name the only one.
func feedOf(feeds []feedFilter, plugin, name string) (feedFilter, error) {
	var names []string
	for _, f := range feeds {
		if f.name == name || name == "" && len(feeds) == 1 {
			return f, nil
		}
		names = append(names, f.name)
	}
	if name == "" {
		return feedFilter{}, fmt.Errorf("%w: plugin %s has several, and it is not known which is meant: %s", ErrNoFeed, plugin, strings.Join(names, ", "))
	}
	return feedFilter{}, fmt.Errorf("%w: plugin %s has no feed %q; it has %s", ErrNoFeed, plugin, name, strings.Join(names, ", "))
}

// Replay has a plugin's feeds given once more what they select of the events
// that are stored, and returns when all of that is on disk; delivered it is as
// the plugin takes it, beside what is new. progress is called now and then with
// all feeds. What ended early goes on when the same is asked for again.
func (b *Bus) Replay(ctx context.Context, spec ReplaySpec, progress func([]ReplayedFeed) error) ([]ReplayedFeed, error) {
	release, err := take(ctx, b.again.turn)
	if err != nil {
		return nil, err
	}
	defer release()
	feeds, err := b.feedsOf(ctx, spec.Plugin)
	if err != nil {
		return nil, err
	}
	if spec.Feed != "" {
		f, err := feedOf(feeds, spec.Plugin, spec.Feed)
		if err != nil {
			return nil, err
		}
		feeds = []feedFilter{f}
	}
	records, err := b.replayRecords(ctx, spec, feeds)
	if err != nil {
		return nil, err
	}
	done := make([]ReplayedFeed, len(feeds))
	for i, f := range feeds {
		done[i] = ReplayedFeed{Feed: f.name, Taken: records[i].Taken}
		if done[i].Events, err = b.countAgain(ctx, spec, f, records[i]); err != nil {
			return nil, err
		}
	}
	if err := progress(done); err != nil || spec.DryRun {
		return done, err
	}
	for i, f := range feeds {
		err := b.replayFeed(ctx, spec, f, records[i], func(taken uint64) error {
			done[i].Taken = taken
			return progress(done)
		})
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// replayRecords are how far the replay is with each feed.
func (b *Bus) replayRecords(ctx context.Context, spec ReplaySpec, feeds []feedFilter) ([]*replayed, error) {
	next, err := b.next(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.settleReplays(ctx); err != nil {
		return nil, err
	}
	fresh := replayed{ID: spec.ID, Account: spec.Account, Conversation: spec.Conversation, Types: spec.Types, To: next - 1}
	records, begun := make([]*replayed, len(feeds)), false
	for i, f := range feeds {
		have, err := b.replayRecord(ctx, b.subjects.replay(spec.Plugin, f.name))
		if err != nil {
			return nil, err
		}
		if have == nil || have.ID != spec.ID {
			continue
		}
		if have.Account != fresh.Account || have.Conversation != fresh.Conversation || !slices.Equal(have.Types, fresh.Types) {
			return nil, fmt.Errorf("%w: %s was asked for with another account, conversation or type", ErrReplay, spec.ID)
		}
		records[i], begun = have, true
		fresh.To = have.To
	}
	if spec.Resume && !begun {
		return nil, fmt.Errorf("%w: plugin %s has none of the id %s, or another was made since", ErrReplay, spec.Plugin, spec.ID)
	}
	for i := range records {
		if records[i] == nil {
			one := fresh
			records[i] = &one
		}
	}
	return records, nil
}

// countAgain counts what is taken and what is still to be.
func (b *Bus) countAgain(ctx context.Context, spec ReplaySpec, f feedFilter, r *replayed) (uint64, error) {
	n := r.Taken
	skip := r.Skip
	err := b.selected(ctx, spec, f, r, true, func(uint64, jetstream.Msg) error {
		if skip > 0 {
			skip--
		} else {
			n++
		}
		return nil
	})
	return n, err
}

var errEnough = errors.New("enough")

// selected calls fn for each event that is still to be replayed to a feed.
func (b *Bus) selected(ctx context.Context, spec ReplaySpec, f feedFilter, r *replayed, headersOnly bool, fn func(uint64, jetstream.Msg) error) error {
	config := jetstream.ConsumerConfig{
		FilterSubjects: b.subjects.narrow(f.subjects, spec.Account, spec.Conversation), HeadersOnly: headersOnly,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.From,
	}
	if r.From == 0 {
		config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &spec.Since
	}
	if len(config.FilterSubjects) == 0 || r.From > r.To {
		return nil
	}
	err := read(ctx, b.js, b.streams.events, config, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read a message's metadata: %w", err)
		}
		if meta.Sequence.Stream > r.To || !spec.Until.IsZero() && meta.Timestamp.After(spec.Until) {
			return errEnough
		}
		e, err := decode(m.Headers(), nil)
		if err != nil {
			return nil // it is no event of ours
		}
		if len(spec.Types) == 0 || slices.ContainsFunc(spec.Types, func(p event.Pattern) bool { return p.Matches(e.Type) }) {
			if err := fn(meta.Sequence.Stream, m); err != nil {
				return err
			}
		}
		if meta.NumPending == 0 {
			return errEnough // also where some have expired since it was counted
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("read the events for feed %s: %w", f.name, err)
	}
	return nil
}

// narrow are those of a feed's subjects that an account and a conversation have
// a part in, and of those that part. Empty: all.
func (s subjects) narrow(filter []string, account, conversation string) []string {
	var list []string
	for _, subject := range filter {
		parts := strings.Split(strings.TrimPrefix(subject, s.prefix+".event."), ".")
		if len(parts) < 3 || account != "" && parts[0] != "*" && parts[0] != token(account) {
			continue
		}
		if account != "" {
			parts[0] = token(account)
		}
		if conversation != "" {
			parts[1] = token(conversation)
		}
		list = append(list, s.prefix+".event."+strings.Join(parts, "."))
	}
	return list
}

// againMessage is an event as it waits to be delivered once more.
func (s subjects) againMessage(plugin, feed, account, conversation, key string, h nats.Header, data []byte) *nats.Msg {
	own := nats.Header{headerKey: {oneLine(key)}}
	for name, values := range h {
		switch {
		// What told the server how to store it would tell it how to store this.
		case strings.HasPrefix(name, "Nats-"):
		case name == headerKey, name == headerReason, name == headerAttempts, name == headerStored, name == headerFeed:
		default:
			own[name] = values
		}
	}
	return &nats.Msg{Subject: s.again(plugin, feed, account, conversation), Header: own, Data: data}
}

// WaitingFeed is what waits to be delivered to a feed once more, or is being
// delivered.
type WaitingFeed struct {
	Feed    string `json:"feed"`
	Waiting uint64 `json:"waiting"`
}

// WaitingReplays are the feeds of a plugin that are still to be given something
// once more, dead letters that were replayed included. Empty fields select all.
func (b *Bus) WaitingReplays(ctx context.Context, plugin, feed, account, conversation string) ([]WaitingFeed, error) {
	var info *jetstream.StreamInfo
	stream, err := b.js.Stream(ctx, b.streams.again)
	if err == nil {
		info, err = stream.Info(ctx, jetstream.WithSubjectFilter(b.subjects.agains(plugin, feed, account, conversation)))
	}
	if err != nil {
		return nil, fmt.Errorf("look what is to be delivered once more: %w", err)
	}
	of := map[string]uint64{}
	for subject, n := range info.State.Subjects {
		name, _, _ := strings.Cut(strings.TrimPrefix(subject, b.subjects.prefix+".again."+plugin+"."), ".")
		of[name] += n
	}
	list := []WaitingFeed{}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, WaitingFeed{name, of[name]})
	}
	return list, nil
}

// DropReplay removes what waits to be delivered once more, and returns what that
// was. What the plugin has in hand it finishes. The other fields are those of
// [Bus.WaitingReplays].
func (b *Bus) DropReplay(ctx context.Context, plugin, feed, account, conversation string) ([]WaitingFeed, error) {
	list, err := b.WaitingReplays(ctx, plugin, feed, account, conversation)
	if err != nil {
		return nil, err
	}
	stream, err := b.js.Stream(ctx, b.streams.again)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(b.subjects.agains(plugin, feed, account, conversation)))
	}
	if err != nil {
		return nil, fmt.Errorf("drop what is to be delivered once more: %w", err)
	}
	return list, nil
}
