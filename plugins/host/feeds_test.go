package host_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/host/filter"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

func TestWhatIsWrongWithAFilterIsAProblemWhereItWasWritten(t *testing.T) {
	tests := []struct {
		name  string
		feeds []*pluginv1.Feed
		want  []host.Problem
		text  string // of the reason
	}{
		{"good ones", []*pluginv1.Feed{{Name: "a", Filter: `message.content contains "x"`}, {Name: "b"}}, nil, ""},
		{"every one at its place", []*pluginv1.Feed{
			{Name: "a", Filter: `message.contnet == "x"`, FilterPath: "/rules/0/when"},
			{Name: "b", Filter: `replayed`, FilterPath: "/rules/1/when"},
			{Name: "c", Filter: `message.id`, FilterPath: "/rules/2/when"},
		}, []host.Problem{
			{Path: "/rules/0/when", Message: "type filter.Message has no field contnet (1:9)"},
			{Path: "/rules/2/when", Message: "expected bool, but got int64"},
		}, ""},
		{"the plugin's own", []*pluginv1.Feed{{Name: "a", Filter: `typ == "x"`}}, nil, `feed "a" with a filter that is wrong: unknown name typ (1:1)`},
		{"a rate below none", []*pluginv1.Feed{{Name: "a", Rate: -1}}, nil, `feed "a" with a rate of -1 a second`},
		{"no time at all", []*pluginv1.Feed{{Name: "a", Timeout: durationpb.New(0)}}, nil, `feed "a" with a timeout of 0s`},
		{"a timeout without end", []*pluginv1.Feed{{Name: "a", Timeout: durationpb.New(2 * time.Hour)}}, nil, `timeout of 2h0m0s`},
		{"a retry before", []*pluginv1.Feed{{Name: "a", Retries: []*durationpb.Duration{durationpb.New(-1)}}}, nil, `a retry after -1ns`},
		{"retries without end", []*pluginv1.Feed{{Name: "a", Retries: make([]*durationpb.Duration, 101)}}, nil, `101 retries`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, refusal := configure(t, &raw{feeds: tt.feeds}, "{}")
			if tt.want == nil && tt.text == "" {
				if refusal != nil {
					t.Errorf("refused: %v", refusal)
				}
				return
			}
			if refusal == nil {
				t.Fatal("not refused")
			}
			if !slices.EqualFunc(refusal.Problems, tt.want, func(a, b host.Problem) bool { return a.Path == b.Path && a.Message == b.Message }) {
				t.Errorf("problems %v, want %v", refusal.Problems, tt.want)
			}
			if !strings.Contains(refusal.Reason, tt.text) || (tt.text == "") != (refusal.Reason == "") {
				t.Errorf("reason %q, want %q", refusal.Reason, tt.text)
			}
		})
	}
}

// Ten feeds look into each event, and it is decoded once.
func TestAnEventIsDecodedOnceForAllFeeds(t *testing.T) {
	const feeds, events = 10, 50
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		var declared []*pluginv1.Feed
		for n := range feeds {
			declared = append(declared, &pluginv1.Feed{
				Name: strconv.Itoa(n), Events: []string{"*"}, Filter: fmt.Sprintf(`message.id %% %d == %d`, feeds, n),
			})
		}
		var mu sync.Mutex
		delivered := map[string][]string{}
		p := &raw{feeds: declared, connect: answering(func(d *pluginv1.Delivery) []*pluginv1.Outcome {
			mu.Lock()
			defer mu.Unlock()
			delivered[d.GetFeed()] = append(delivered[d.GetFeed()], d.GetEvent().GetId())
			return []*pluginv1.Outcome{acked(d.GetId())}
		})}
		cache := filter.NewCache()
		client, stop := dial(t, p)
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		var stats host.Stats
		go func() {
			ended <- host.Run(ctx, client, granted(), host.Sharing(options(t, w, host.Limits{}), cache), &stats)
		}()
		for n := range events {
			w.publish(message("a", n))
		}
		for n := range feeds {
			w.acked(t, "tester/"+strconv.Itoa(n), events)
		}
		synctest.Wait()
		for n, s := range stats.Snapshot("tester").Feeds {
			if len(delivered[s.Name]) != events/feeds || delivered[s.Name][1] != fmt.Sprintf("a-%d", n+feeds) || s.Filtered != events-events/feeds {
				t.Errorf("feed %s: %d filtered, delivered %v", s.Name, s.Filtered, delivered[s.Name])
			}
		}
		if got := cache.Decodes(); got != events {
			t.Errorf("%d events were decoded %d times for %d feeds", events, got, feeds)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAFeedHasNoMoreThanItAskedFor(t *testing.T) {
	for asked, want := range map[uint32]int{0: 8, 3: 3, 100: 8} {
		t.Run(strconv.Itoa(int(asked)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				var mu sync.Mutex
				inside := 0
				p := &raw{feeds: []*pluginv1.Feed{{Name: "default", Events: []string{"*"}, Window: asked}}, connect: answering(func(*pluginv1.Delivery) []*pluginv1.Outcome {
					mu.Lock()
					defer mu.Unlock()
					inside++
					return nil
				})}
				serve(t, w, p, granted(), host.Limits{Window: 8})
				for n := range 20 {
					w.publish(message(strconv.Itoa(n), 1))
				}
				synctest.Wait()
				if inside != want {
					t.Errorf("%d inside, want %d", inside, want)
				}
			})
		})
	}
}

// The line ends, for the plugin to be started again.
func TestALineEndsWhosePluginHangs(t *testing.T) {
	tests := []struct {
		name  string
		asked *durationpb.Duration
		want  string
	}{
		{"by default", nil, "plugin hangs: no outcome of event a-1 of feed default within 30s"},
		{"as the feed asks", durationpb.New(time.Minute), "within 1m5s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(aDay)
				p := &raw{feeds: []*pluginv1.Feed{{Name: "default", Events: []string{"*"}, Timeout: tt.asked}},
					connect: answering(func(*pluginv1.Delivery) []*pluginv1.Outcome { return nil })}
				client, stop := dial(t, p)
				defer stop()
				w.publish(message("a", 1))
				err := host.Run(t.Context(), client, granted(), options(t, w, host.Limits{}), &host.Stats{})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v", err)
				}
				if len(w.ackedIDs(defaultFeed)) != 0 || len(w.deadLetters()) != 0 {
					t.Error("the event does not come again")
				}
			})
		})
	}
}
